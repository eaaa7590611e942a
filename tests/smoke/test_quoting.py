"""Names and mounts, as Lima itself and ssh itself read them. Nothing is booted: Lima has a home of its own here."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from agentvm.lima.backend import Lima
from agentvm.lima.directory import Directory
from agentvm.lima.limactl import Limactl
from agentvm.lima.ssh import command_argv, master_argv, session_argv
from agentvm.lima.template import check_mount, edit_expression, effective_mounts, wanted_mounts
from agentvm.model import Host, InstanceSpec, Mount, Resources, Role
from agentvm.project import base_name, golden_name
from agentvm.settings import read_settings
from tests.hostile import PATHS, try_many
from tests.smoke.computer import Computer, Done
from tests.tables import Record

AT_ONCE = 60
"""Mounts that one limactl gets. It writes them into one line, and reads no line that is longer than 64 KiB."""
NO_VM = {"images": [{"location": "https://images.invalid/none.qcow2"}], "mounts": []}


class Private:
    """A user with a LIMA_HOME of their own, in which there is a golden that nobody booted."""

    def __init__(self, machine: Computer, directory: Path) -> None:
        self.computer = Computer(directory, machine.prefix)
        self.lima_home = directory / "l"
        self.log = directory / "started"
        self.limactl = directory / "limactl"
        self.computer.environment |= {"LIMA_HOME": str(self.lima_home), "AGENTVM_LIMACTL": str(self.limactl)}
        self.lima_home.mkdir()
        real = shutil.which(machine.limactl)
        self.limactl.write_text(f"#!/bin/sh\nreal={shlex.quote(str(real))} log={shlex.quote(str(self.log))}\n{START}")
        self.limactl.chmod(0o755)
        self.host = Host(
            self.computer.environment, str(self.computer.home), str(directory), "linux", 1000, False, False, False
        )
        self.settings = read_settings(self.host)
        self.project = self.computer.project("web")

    def have_golden(self) -> None:
        """Make a base that nothing was done to, unless there is one."""
        if list(self.lima_home.glob("*-base")):
            return
        backend = Lima(self.host, self.settings, str(self.computer.directory / "others"), print)
        prefix = self.computer.prefix
        base = InstanceSpec(base_name(prefix), prefix, Role.BASE)
        backend.create(base, self.settings.base_template)
        backend.clone(base.name, InstanceSpec(golden_name(prefix, 1), prefix, Role.GOLDEN, generation=1))

    def configure(self, name: str, more: dict[str, object]) -> Path:
        """Write one of Lima's files that are merged into every instance."""
        file = self.lima_home / "_config" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(more))
        return file

    def run(self) -> Done:
        return self.computer.run(self.project, "shell", "--", "true")

    def starts(self) -> list[str]:
        """The mounts of each instance at the moment when limactl was to start it."""
        return self.log.read_text().splitlines() if self.log.exists() else []

    @property
    def instance(self) -> str:
        return str(self.computer.status(self.project)["instance"])


# A limactl that starts nothing: it writes down what would have been mounted.
START = """\
for word; do name=$word; done
[ "$1" != start ] || { "$real" list --format '{{json .Config.Mounts}}' "$name" >>"$log"; echo 'not today' >&2; exit 1; }
exec "$real" "$@"
"""


@pytest.fixture(scope="module")
def private(computer: Computer) -> Iterator[Private]:
    # The paths of Lima's sockets must be short.
    directory = Path(tempfile.mkdtemp(prefix=f"{computer.prefix}-", dir="/tmp")).resolve()
    made = Private(computer, directory)
    try:
        yield made
    finally:
        shutil.rmtree(directory)


@pytest.mark.quoting
def test_paths_through_limactl(private: Private, record: Record) -> None:
    """What Lima would mount is what was meant: edited into an instance, and read back."""
    dummy = private.lima_home / "dummy"
    dummy.mkdir()
    (dummy / "lima.yaml").write_text(json.dumps(NO_VM))
    limactl = Limactl(private.host, private.settings, str(private.computer.directory / "empty"))
    paths: list[str] = []
    try_many(PATHS, paths.extend)
    mounts = [Mount(path, path, len(path) % 2 == 0) for path in (f"/nowhere{path}" for path in paths)]
    queue = iter(mounts)
    while several := tuple(islice(queue, AT_ONCE)):
        for mount in several:
            check_mount(mount, "virtiofs", "darwin")
        limactl.edit("dummy", edit_expression(several, Resources(), "virtiofs"))
        (entry,) = limactl.entries("dummy")
        assert set(effective_mounts(entry["config"])) ^ set(wanted_mounts(several)) == set()
    shutil.rmtree(dummy)
    record(
        "paths, through limactl edit and list", f"the same ({len(paths) - len(mounts)} were twice)", tried=len(paths)
    )


def mount_of(location: Path) -> dict[str, object]:
    return {"mounts": [{"location": str(location)}]}


@pytest.mark.quoting
@pytest.mark.parametrize("file", ["override.yaml", "default.yaml"])
def test_a_mount_of_limas_configuration_is_refused(private: Private, file: str, record: Record) -> None:
    """First when the VM is made, then when it is there and stopped. Nothing is started."""
    private.have_golden()
    configured = private.configure(file, mount_of(private.computer.home))
    private.log.unlink(missing_ok=True)
    for when in ("new", "stopped"):
        done = private.run()
        assert done.status == 1
        assert f"would not show {private.instance} what was asked for: {private.computer.home}" in done.err
        assert "_config/default.yaml and override.yaml" in done.err
        assert private.starts() == []
        assert not list(private.lima_home.glob("*/ha.pid"))
        if when == "new":
            configured.unlink()
            assert "not today" in private.run().err
            assert len(private.starts()) == 1
            private.configure(file, mount_of(private.computer.home))
            private.log.unlink()
    configured.unlink()
    private.computer.ok(private.project, "rm")
    record(f"a mount of the home in _config/{file}", "refused by its name, nothing started", tried=2)


@pytest.mark.quoting
def test_an_agent_that_limas_configuration_forwards_is_refused(private: Private, record: Record) -> None:
    private.have_golden()
    assert "not today" in private.run().err
    private.log.unlink()
    configured = private.configure("override.yaml", {"ssh": {"forwardAgent": True}})
    done = private.run()
    assert done.status == 1
    assert f"Lima would forward your ssh agent to {private.instance}" in done.err
    assert private.starts() == []
    configured.unlink()
    record("the ssh agent, forwarded by _config/override.yaml", "refused, nothing started")


@pytest.mark.quoting
def test_a_lima_yaml_that_was_edited_is_put_right(private: Private, record: Record) -> None:
    private.have_golden()
    assert "not today" in private.run().err
    (asked,) = private.starts()
    private.log.unlink()
    more = f'.mounts += [{{"location": "{private.computer.home}", "writable": true}}]'
    private.computer.lima("edit", "--tty=false", "--set", more, private.instance)
    assert "not today" in private.run().err
    assert private.starts() == [asked]
    assert str(private.project) in asked
    record("a mount edited into lima.yaml", "taken out before the start")


@pytest.mark.quoting
@pytest.mark.parametrize("name", ["plain", "two words", "it's", 'say "hi"', "100%d", "back\\slash", "#", "größe"])
def test_ssh_finds_its_connection_whatever_the_path_of_lima_is(tmp_path: Path, name: str, record: Record) -> None:
    directory = Directory(str(tmp_path / name))
    Path(directory.path).mkdir()
    Path(directory.ssh_config).write_text("Host lima-x\n  Hostname 127.0.0.1\n")
    commands = (
        master_argv(directory, "x", "VARIABLE"),
        session_argv(directory, "x", True, "VARIABLE", "true", False),
        command_argv(directory, "x", ("true",)),
    )
    for argv in commands:
        words = [word for word in argv if word not in ("-N", "-f", "-tt")]
        done = subprocess.run([*words[:1], "-G", *words[1:]], check=True, capture_output=True, text=True)
        assert f"controlpath {directory.master}" in done.stdout.splitlines()
    record(f"LIMA_HOME in {name!r}", "ssh finds its connection", tried=len(commands))
