from __future__ import annotations

import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from agentvm.label import LARGEST, dump_label
from agentvm.lima.directory import Directory, lima_home
from agentvm.model import Host, InstanceSpec, Label, Role

LABEL = Label(InstanceSpec("p-web", "p", Role.PROJECT, "/w/web"), 0)


@pytest.fixture
def path() -> Iterator[Path]:
    """An instance's directory with a path that is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="avm") as root:
        (Path(root) / "p-web").mkdir()
        yield Path(root) / "p-web"


@pytest.fixture
def directory(path: Path) -> Directory:
    return Directory(str(path))


class Listener:
    """Takes connections at a socket; a master of ssh greets who connects."""

    def __init__(self, path: Path) -> None:
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen(20)

    def greet(self) -> None:
        threading.Thread(target=self._greet, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _greet(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                with connection:
                    connection.sendall(b"\0\0\0\x08\0\0\0\x01\0\0\0\x04")


Listeners = dict[str, Listener]


@pytest.fixture
def running(path: Path) -> Iterator[Listeners]:
    """What there is while an instance runs: a pid file, and sockets that somebody listens on."""
    (path / "ha.pid").write_text("123\n")
    listeners = {name: Listener(path / name) for name in ("ha.sock", "ssh.sock", "avm.sock")}
    for name in ("ssh.sock", "avm.sock"):
        listeners[name].greet()
    yield listeners
    for listener in listeners.values():
        listener.close()


def hang(path: Path, running: Listeners, name: str) -> None:
    """Have somebody there who takes connections, and says nothing."""
    running[name].close()
    (path / name).unlink()
    running[name] = Listener(path / name)


def test_lima_home(host: Host, tmp_path: Path) -> None:
    assert lima_home(host) == f"{host.home}/.lima"
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    elsewhere = host._replace(environment=host.environment | {"LIMA_HOME": str(tmp_path / "link")})
    assert lima_home(elsewhere) == os.path.realpath(tmp_path / "real")


def test_a_label_is_read_and_written(directory: Directory) -> None:
    assert directory.read_label() is None
    assert not directory.carried_prefix()
    directory.write_label(LABEL)
    assert directory.read_label() == LABEL


def test_a_clone_carries_the_label_of_its_source(directory: Directory, path: Path) -> None:
    directory.write_label(LABEL)
    shutil.copytree(path, path.parent / "p-copy")
    copy = Directory(str(path.parent / "p-copy"))
    assert copy.read_label() is None
    assert copy.carried_prefix() == LABEL.spec.prefix


def test_a_label_that_is_a_link_or_endless_or_a_pipe_is_none(directory: Directory, path: Path) -> None:
    directory.write_label(LABEL)
    (path / "agentvm.json").rename(path / "elsewhere")
    (path / "agentvm.json").symlink_to("elsewhere")
    assert directory.read_label() is None
    (path / "agentvm.json").unlink()
    os.mkfifo(path / "agentvm.json")
    assert directory.read_label() is None
    (path / "agentvm.json").unlink()
    (path / "agentvm.json").write_bytes(dump_label(LABEL) + b" " * LARGEST)
    assert directory.read_label() is None


def test_ready_is_what_was_marked_and_answers(directory: Directory, running: Listeners) -> None:
    assert not directory.is_ready()
    directory.mark_ready()
    assert directory.is_ready()


@pytest.mark.parametrize("name", ["ha.sock", "avm.sock"])
def test_not_ready_when_nobody_listens(directory: Directory, running: Listeners, name: str) -> None:
    directory.mark_ready()
    running[name].close()
    assert not directory.is_ready()


def test_not_ready_when_the_master_hangs(directory: Directory, path: Path, running: Listeners) -> None:
    directory.mark_ready()
    hang(path, running, "avm.sock")
    assert not directory.is_ready()


def test_the_mark_of_another_boot_does_not_count(directory: Directory, path: Path, running: Listeners) -> None:
    directory.mark_ready()
    (path / "ha.pid").rename(path / "old.pid")
    (path / "ha.pid").write_text("123\n")
    assert not directory.is_ready()


def test_not_ready_without_a_pid_file(directory: Directory, path: Path, running: Listeners) -> None:
    (path / "ha.pid").unlink()
    directory.mark_ready()
    assert not directory.is_ready()


@pytest.mark.parametrize("name", ["ssh.sock", "avm.sock"])
def test_only_stale_sockets_are_dropped(directory: Directory, path: Path, running: Listeners, name: str) -> None:
    directory.drop_stale_masters()
    assert (path / "ssh.sock").exists()
    running[name].close()
    directory.drop_stale_masters()
    assert {file.name for file in path.glob("*.sock")} == {"ha.sock", "ssh.sock", "avm.sock"} - {name}


@pytest.mark.parametrize("name", ["ssh.sock", "avm.sock"])
def test_the_socket_of_a_master_that_hangs_is_dropped(
    directory: Directory, path: Path, running: Listeners, name: str
) -> None:
    hang(path, running, name)
    directory.drop_stale_masters()
    assert {file.name for file in path.glob("*.sock")} == {"ha.sock", "ssh.sock", "avm.sock"} - {name}


def test_the_numbers_in_pid_files(directory: Directory, path: Path) -> None:
    assert directory.pids() == {}
    for name, text in {"ha.pid": "123\n", "qemu.pid": "45", "odd.pid": "x", "huge.pid": "9" * 40, "no": "1"}.items():
        (path / name).write_text(text)
    assert directory.pids() == {"ha.pid": 123, "qemu.pid": 45}
    directory.remove()
    assert directory.pids() == {}


def test_dropping_what_is_not_there(directory: Directory) -> None:
    directory.drop_stale_masters()


def test_removing(directory: Directory, path: Path) -> None:
    (path / "disk").write_text("")
    for _ in range(2):
        directory.remove()
        assert not directory.exists()


def test_configured_is_what_lima_would_take_for_an_instance(directory: Directory, path: Path) -> None:
    assert directory.exists()
    assert not directory.configured()
    (path / "lima.yaml").write_text("")
    assert directory.configured()


@pytest.mark.parametrize(
    ("log", "status"),
    [
        (b"", {}),
        (b"no json\n", {}),
        (b'{"status":{"running":true}}\n', {"running": True}),
        (b'{"status":{"running":true}}\n{"status":{"exiting":true}}\n', {"exiting": True}),
        (b'{"status":{"running":true}}\n{"status":"odd"}\n[1]\n{"sta', {"running": True}),
        (b'{"status":{}}\n' * 100_000 + b'{"status":{"running":true}}\n', {"running": True}),
    ],
)
def test_the_last_status_in_the_log_of_events(
    directory: Directory, path: Path, log: bytes, status: dict[str, bool]
) -> None:
    assert directory.last_event() == {}
    (path / "ha.stdout.log").write_bytes(log)
    assert directory.last_event() == status
