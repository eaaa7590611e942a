"""Lima is not started, or not left running, with what was not asked for: a stand-in for limactl tells what it was told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from agentvm.errors import Error
from agentvm.label import dump_label
from agentvm.lima.backend import Lima
from agentvm.model import Host, InstanceSpec, Label, Mount, Role
from agentvm.settings import read_settings

NAME = "agentvm-web-1a2b3c4d"
STUB = """#!/bin/sh
echo "$1" >>"$HOME/told"
case $1 in
--version) echo limactl version 2.2.0 ;;
list) cat "$HOME/entry" ;;
start) sh "$HOME/meanwhile"; sed -i s/Stopped/Running/ "$HOME/entry" ;;
stop) sed -i s/Running/Stopped/ "$HOME/entry" ;;
esac
"""


class Machine:
    """An instance that is stopped, and shows one directory."""

    def __init__(self, host: Host, home: Path) -> None:
        self.home, self.shared, self.secret = home, home / "outer/shared", home / "secret"
        self.shared.mkdir(parents=True)
        self.secret.mkdir()
        mount = Mount(str(self.shared), str(self.shared), True)
        directory = home / ".lima" / NAME
        directory.mkdir(parents=True)
        spec = InstanceSpec(NAME, "agentvm", Role.PROJECT, str(self.shared), mounts=(mount,))
        (directory / "agentvm.json").write_bytes(dump_label(Label(spec, 0)))
        (directory / "lima.yaml").touch()
        self.entry = {"location": mount.location, "mountPoint": mount.point, "writable": True}
        config = {"mounts": [self.entry], "mountType": "9p"}
        self.write_entry(config)
        (home / "meanwhile").touch()
        (home / "limactl").write_text(STUB)
        (home / "limactl").chmod(0o755)
        stubbed = host._replace(environment=host.environment | {"AGENTVM_LIMACTL": str(home / "limactl")})
        self.lima = Lima(stubbed, read_settings(stubbed), str(home / "state"), lambda text: None)

    def write_entry(self, config: Mapping[str, object]) -> None:
        """What `limactl list` says of it."""
        (self.home / "entry").write_text(json.dumps({"name": NAME, "status": "Stopped", "config": config}) + "\n")

    def swap(self) -> str:
        return f"rmdir '{self.shared}' && ln -s '{self.secret}' '{self.shared}'\n"

    @property
    def told(self) -> list[str]:
        words = (self.home / "told").read_text().split()
        return [word for word in words if word in ("start", "stop")]


@pytest.fixture
def machine(host: Host, home: Path) -> Machine:
    return Machine(host, home)


def test_a_link_that_is_there_before_the_start_prevents_it(machine: Machine) -> None:
    machine.shared.rmdir()
    machine.shared.symlink_to(machine.secret)
    with pytest.raises(Error, match=f"a link took the place of {machine.shared}"):
        machine.lima.start(NAME)
    assert machine.told == []


def test_a_link_that_came_meanwhile_ends_it(machine: Machine) -> None:
    (machine.home / "meanwhile").write_text(machine.swap())
    with pytest.raises(Error, match=f"a link took the place of {machine.shared}"):
        machine.lima.start(NAME)
    assert machine.told == ["start", "stop"]


@pytest.mark.parametrize(
    ("config", "refused"),
    [
        ({"ssh": {"forwardAgent": True}}, "would forward your ssh agent to"),
        ({"mountType": "reverse-sshfs"}, "reverse-sshfs, which lets a guest read all your files"),
    ],
)
def test_what_lima_makes_of_the_configuration_is_read_before_each_start(
    machine: Machine, config: dict[str, object], refused: str
) -> None:
    """Its override.yaml holds for every instance, and may be of yesterday."""
    machine.write_entry({"mounts": [machine.entry], "mountType": "9p", **config})
    with pytest.raises(Error, match=refused):
        machine.lima.start(NAME)
    assert machine.told == []
