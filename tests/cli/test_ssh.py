"""ssh-config: OpenSSH itself finds the VMs by their names, and the user's own file is changed by one line."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.world import World, snapshot

OWN = b"# mine\nHost server\n  Port 2222\n"


class Guest:
    """Stands behind a VM's door: greets like sshd, and keeps what it hears."""

    def __init__(self) -> None:
        self.heard = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            with caller:
                caller.sendall(b"SSH-2.0-guest\r\n")
                while data := caller.recv(4096):
                    self.heard += data
                    if b"enough" in self.heard or b"OpenSSH" in self.heard:
                        break

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


@pytest.fixture
def guest(ready: World) -> Iterator[Guest]:
    made = Guest()
    open_door(ready, made.port)
    yield made
    made.close()


def open_door(world: World, port: int, directory: Path | None = None) -> None:
    (world.fake / world.instance(directory) / "door").write_text(str(port))


def ssh(world: World, *words: str) -> subprocess.CompletedProcess[str]:
    """The machine's ssh, which takes its user's home from the password database: so it is told which file is the user's."""
    return subprocess.run(
        ["ssh", "-F", str(world.home / ".ssh" / "config"), *words],
        env=world.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def options(world: World, name: str) -> dict[str, str]:
    """What ssh makes of a name."""
    done = ssh(world, "-G", name)
    assert done.returncode == 0, done
    return dict(line.partition(" ")[::2] for line in done.stdout.splitlines())


def own_file(world: World, content: bytes = OWN, mode: int = 0o600) -> Path:
    path = world.home / ".ssh" / "config"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)
    return path


def section_file(world: World) -> Path:
    return world.state / "agentvm" / "agentvm" / "ssh_config"


def test_it_is_printed_and_nothing_is_written(ready: World, guest: Guest) -> None:
    before = ready.tree()
    printed = ready.ok("ssh-config").out
    assert f"\nHost {ready.instance()} agentvm-web\n" in printed
    assert f"# {ready.project}\n" in printed
    assert ready.tree() == before


def test_ssh_reaches_the_vm_by_both_names(ready: World, guest: Guest) -> None:
    ready.ok("ssh-config", "--install")
    for name in (ready.instance(), "agentvm-web"):
        guest.heard = b""
        done = ssh(ready, name, "true")
        assert done.returncode == 255
        assert guest.heard.startswith(b"SSH-2.0-OpenSSH"), done
    assert ready.json("status")["sessions"] == []


def test_what_ssh_makes_of_a_name(ready: World, guest: Guest) -> None:
    own_file(ready, OWN + b"Host *\n  ForwardAgent yes\n  ForwardX11 yes\n  UserKnownHostsFile ~/.ssh/known_hosts\n")
    ready.ok("ssh-config", "--install")
    found = options(ready, "agentvm-web")
    assert found["user"] == "guest"
    assert found["identityfile"] == str(ready.fake / ready.instance() / "identity")
    wanted = {"forwardagent": "no", "forwardx11": "no", "identitiesonly": "yes", "identityagent": "none"}
    wanted |= {"userknownhostsfile": "/dev/null", "globalknownhostsfile": "/dev/null", "forwardx11trusted": "no"}
    assert found.items() >= wanted.items()
    assert found["stricthostkeychecking"] in ("no", "false")
    assert options(ready, "server")["port"] == "2222"
    assert options(ready, "other")["forwardagent"] == "yes"


def test_a_port_that_changes_is_found_without_another_word(ready: World, guest: Guest) -> None:
    ready.ok("ssh-config", "--install")
    before = section_file(ready).read_text()
    other = Guest()
    try:
        open_door(ready, other.port)
        ssh(ready, "agentvm-web", "true")
        assert other.heard.startswith(b"SSH-2.0-OpenSSH")
        assert guest.heard == b""
        assert section_file(ready).read_text() == before
    finally:
        other.close()


def test_a_vm_that_is_connected_is_in_use(ready: World, guest: Guest) -> None:
    connected = ready.start("ssh-config", "--connect", ready.instance())
    assert connected.stdout
    assert connected.stdin
    assert connected.stdout.readline() == b"SSH-2.0-guest\r\n"
    assert f"is in use by ssh (process {connected.pid})" in ready.fails(1, "stop")
    connected.stdin.write(b"enough")
    connected.stdin.flush()
    assert connected.wait(20) == 0
    ready.ok("stop")


def test_a_stopped_vm_is_not_started_and_told(ready: World, guest: Guest) -> None:
    ready.ok("ssh-config", "--install")
    ready.ok("stop")
    done = ssh(ready, "agentvm-web", "true")
    assert done.returncode == 255
    assert f"{ready.instance()} is stopped." in done.stderr
    assert f"`agentvm shell -- true` in {ready.project} brings it up" in done.stderr
    assert ready.instances()[ready.instance()] == "stopped"
    assert "There is no instance" in ready.fails(1, "ssh-config", "--connect", "agentvm-gone")


def test_the_file_follows_the_vms(ready: World, guest: Guest) -> None:
    ready.ok("ssh-config", "--install")
    other = ready.make_project("other")
    ready.ok("shell", "--", "true", directory=other)
    assert "agentvm-other" not in section_file(ready).read_text(), "it was never started, as far as a fake can know"
    open_door(ready, guest.port, other)
    third = ready.make_project("third")
    ready.ok("shell", "--", "true", directory=third)
    assert " agentvm-other\n" in section_file(ready).read_text()
    ready.ok("rm", directory=third)
    ready.ok("rm", directory=other)
    assert "agentvm-other" not in section_file(ready).read_text()
    assert "agentvm-web" in section_file(ready).read_text()


def test_without_install_nothing_is_kept_up(ready: World, guest: Guest) -> None:
    ready.ok("shell", "--", "true", directory=ready.make_project("other"))
    assert not section_file(ready).exists()


def test_a_short_name_that_means_two_is_none(ready: World, guest: Guest) -> None:
    again, base = ready.make_project("deep/web"), ready.make_project("base")
    for project in (again, base):
        ready.ok("shell", "--", "true", directory=project)
        open_door(ready, guest.port, project)
    ready.ok("ssh-config", "--install")
    hosts = [line for line in section_file(ready).read_text().splitlines() if line.startswith("Host ")]
    assert sorted(hosts) == sorted(f"Host {ready.instance(project)}" for project in (ready.project, again, base))


def test_an_editor_has_another_environment(ready: World, guest: Guest, tmp_path: Path) -> None:
    """Everything that says where things are stands in the file."""
    ready.ok("ssh-config", "--install")
    bare = World.__new__(World)
    bare.home, bare.environment = ready.home, {"PATH": ready.environment["PATH"], "HOME": str(tmp_path / "else")}
    ssh(bare, "agentvm-web", "true")
    assert guest.heard.startswith(b"SSH-2.0-OpenSSH")


def test_a_path_of_agentvms_own_reaches_the_shell_whole(ready: World, guest: Guest) -> None:
    awkward = ready.directory / "it's 100% & $HOME"
    shutil.copytree(ready.fake, awkward, symlinks=True)
    ready.ok("ssh-config", "--install", AGENTVM_FAKE_DIR=str(awkward))
    ssh(ready, "agentvm-web", "true")
    assert guest.heard.startswith(b"SSH-2.0-OpenSSH")


# --- ~/.ssh/config -----------------------------------------------------------------------------------------------------


def test_the_line_comes_first_and_once(ready: World) -> None:
    path = own_file(ready, mode=0o640)
    for _ in range(2):
        ready.ok("ssh-config", "--install")
        assert path.read_bytes() == f"Include {section_file(ready)}\n".encode() + OWN
    assert path.stat().st_mode & 0o777 == 0o640
    path.write_bytes(OWN + f"  Include {section_file(ready)}\n".encode())
    ready.ok("ssh-config", "--install")
    assert path.read_bytes() == f"Include {section_file(ready)}\n".encode() + OWN
    assert sorted(os.listdir(path.parent)) == ["config"]


def test_without_a_file_it_is_made_for_the_user_alone(ready: World) -> None:
    ready.ok("ssh-config", "--install")
    path = ready.home / ".ssh" / "config"
    assert path.read_text() == f"Include {section_file(ready)}\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_link_stays_one(ready: World) -> None:
    path = own_file(ready)
    target = ready.home / "dotfiles"
    path.rename(target)
    path.symlink_to("../dotfiles")
    ready.ok("ssh-config", "--install")
    assert os.readlink(path) == "../dotfiles"
    assert target.read_bytes().endswith(OWN)
    assert target.read_bytes() != OWN


@pytest.mark.parametrize("trouble", ["directory", "dangling", "hard link", "read-only", "huge"])
def test_what_cannot_be_changed_safely_is_left_with_its_reason(ready: World, trouble: str) -> None:
    path = own_file(ready)
    reason = {
        "directory": "it is no file",
        "dangling": "which is not there",
        "hard link": "a second name",
        "read-only": "may not be written",
        "huge": "larger than",
    }[trouble]
    if trouble == "directory":
        path.unlink()
        path.mkdir()
    elif trouble == "dangling":
        path.unlink()
        path.symlink_to("nowhere")
    elif trouble == "hard link":
        os.link(path, ready.home / "other")
    elif trouble == "read-only":
        path.chmod(0o400)
    else:
        path.write_bytes(b"#" * 2_000_000)
    before = snapshot(ready.home / ".ssh")
    done = ready.run("ssh-config", "--install")
    assert done.status == 1
    assert f"{path} was left as it is: " in done.err
    assert reason in done.err
    assert done.out == f"Include {section_file(ready)}\n"
    assert snapshot(ready.home / ".ssh") == before


def test_a_state_directory_that_ssh_would_take_for_a_pattern_is_refused(ready: World) -> None:
    own_file(ready)
    for name in ("with space", "star*", "per%cent", 'quo"te'):
        state = ready.directory / name
        assert "understands otherwise" in ready.fails(1, "ssh-config", "--install", XDG_STATE_HOME=str(state))


def test_a_dry_run_changes_nothing(ready: World, guest: Guest) -> None:
    own_file(ready)
    before = ready.tree()
    done = ready.ok("--dry-run", "ssh-config", "--install")
    assert "would have the line" in done.err
    assert ready.tree() == before


def test_two_at_once_both_find_all(ready: World, guest: Guest) -> None:
    own_file(ready)
    installs = [ready.start("ssh-config", "--install") for _ in range(6)]
    for install in installs:
        assert install.wait(60) == 0
    path = ready.home / ".ssh" / "config"
    assert path.read_bytes() == f"Include {section_file(ready)}\n".encode() + OWN
    assert "agentvm-web" in section_file(ready).read_text()
    assert sorted(os.listdir(path.parent)) == ["config"]
