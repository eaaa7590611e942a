"""uninstall: what agentvm made goes, what is the user's stays, and nothing of anybody else's is touched."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from agentvm.agents import AGENTS
from tests.cli.test_ssh import OWN, own_file
from tests.cli.world import World, program, snapshot


@pytest.fixture
def lived(ready: World) -> World:
    """A computer on which all was used: shims in two places, ssh, opencode's login, and settings of the user's."""
    own_file(ready)
    login = ready.home / ".local" / "share" / "opencode" / "auth.json"
    login.parent.mkdir(parents=True)
    login.write_text("{}")
    (ready.config / "agentvm").mkdir(parents=True)
    (ready.config / "agentvm" / "config.toml").write_text("cpus = 2\n")
    ready.ok("install-shims")
    ready.ok("install-shims", str(ready.home / "bin"))
    ready.ok("ssh-config", "--install")
    ready.ok("shell", "--", "true")
    return ready


def left(world: World) -> set[str]:
    """Every path but what is in guests. The directories of the agents, which were made to be shared, are the user's."""
    agents = {"home/.claude", "home/.codex", "config/opencode", "config/gh"}
    return {path for path in snapshot(world.directory) if not path.startswith("fake/")} - agents


def test_all_goes_but_what_is_the_users(lived: World) -> None:
    done = lived.ok("uninstall", "--vms", "--yes")
    assert done.out == ""
    assert left(lived) == {
        "fake",
        "home",
        "home/.local",
        "home/.local/share",
        "home/.local/share/opencode",
        "home/.local/share/opencode/auth.json",
        "home/.ssh",
        "home/.ssh/config",
        "home/bin",
        "home/web",
        "state",
        "config",
        "config/agentvm",
        "config/agentvm/config.toml",
    }
    assert (lived.home / ".ssh" / "config").read_bytes() == OWN
    assert os.listdir(lived.fake) == ["bin"]
    assert "your settings stay" in done.err


def test_vms_stay_unless_asked_for_and_work_afterwards(lived: World) -> None:
    lived.ok("shell", "--", "sh", "-c", "echo mine >~/kept")
    before = lived.instances()
    done = lived.ok("uninstall", "--yes")
    assert "3 VMs and their disks stay; --vms removes them too" in done.err
    assert not list(lived.state.iterdir())
    assert lived.instances() == before
    assert lived.ok("shell", "--", "sh", "-c", "cat ~/kept").out == "mine\n"


def test_it_says_what_it_would_do(lived: World) -> None:
    before = lived.tree()
    said = lived.ok("uninstall", "--vms", "--dry-run").err
    for name in (*lived.instances(), *(str(lived.home / "bin" / name) for name in AGENTS), "~/.ssh/config"):
        assert f"would remove {'the VM ' if name.startswith('agentvm') else ''}" in said
        assert name in said
    assert lived.tree() == before
    assert lived.ok("--dry-run", "uninstall", "--vms").err == said


def test_without_a_terminal_it_has_to_be_told(lived: World) -> None:
    said = lived.fails(1, "uninstall")
    assert f"to be removed: {lived.state}/agentvm/agentvm" in said
    assert "Nothing was removed" in said
    assert "--yes" in said


def test_while_a_session_runs_nothing_goes(lived: World) -> None:
    session = lived.hold()
    assert f"agentvm is in use: sh in {lived.instance()} (process {session.pid})" in lived.fails(
        1, "uninstall", "--vms", "--yes"
    )


def test_twice_is_once(lived: World) -> None:
    lived.ok("uninstall", "--vms", "--yes")
    before = left(lived)
    lived.ok("uninstall", "--vms", "--yes")
    assert left(lived) == before


def test_only_shims_that_were_installed_go(lived: World) -> None:
    """Not the ones of a checkout, no link, and no program of the same name, although all are on the PATH."""
    checkout, links, other = (lived.make_project(name) for name in ("checkout", "links", "other"))
    shims = Path(__file__).parents[2] / "shims"
    shutil.copy(shims / "claude", checkout / "claude")
    (links / "claude").symlink_to(lived.home / "bin" / "claude")
    (other / "claude").write_text("#!/bin/sh\n# not agentvm\n")
    forgotten = lived.make_project("forgotten")
    lived.ok("install-shims", str(forgotten), XDG_STATE_HOME=str(lived.directory / "else"))
    path = ":".join([*map(str, (checkout, links, other, forgotten)), lived.environment["PATH"]])
    lived.ok("uninstall", "--yes", PATH=path)
    assert (checkout / "claude").exists()
    assert (links / "claude").is_symlink()
    assert (other / "claude").exists()
    assert list(forgotten.iterdir()) == []
    assert list((lived.home / "bin").iterdir()) == []


def test_another_prefix_keeps_what_both_need(lived: World) -> None:
    lived.ok("shell", "--", "true", AGENTVM_INSTANCE_PREFIX="other")
    done = lived.ok("uninstall", "--vms", "--yes")
    assert "stay, for the prefix other" in done.err
    assert (lived.home / "bin" / "claude").exists()
    assert not (lived.state / "agentvm" / "agentvm").exists()
    assert all(name.startswith("other") for name in os.listdir(lived.fake) if name != "bin")
    assert list(lived.json("list", AGENTVM_INSTANCE_PREFIX="other")["instances"])
    lived.ok("uninstall", "--vms", "--yes", AGENTVM_INSTANCE_PREFIX="other")
    assert not (lived.home / "bin" / "claude").exists()
    assert not (lived.state / "agentvm").exists()


def test_somebody_elses_vm_stays(lived: World) -> None:
    place = lived.foreign("agentvm-mine")
    before = snapshot(place)
    lived.ok("uninstall", "--vms", "--yes")
    assert snapshot(place) == before


def test_a_shared_login_loses_its_second_name_only(lived: World) -> None:
    login = lived.home / ".local" / "share" / "opencode" / "auth.json"
    assert login.stat().st_nlink == 2
    lived.ok("uninstall", "--yes")
    assert login.stat().st_nlink == 1
    assert login.read_text() == "{}"


def test_a_file_of_sshs_that_cannot_be_changed_stops_it_before_the_rest(lived: World) -> None:
    (lived.home / ".ssh" / "config").chmod(0o400)
    done = lived.run("uninstall", "--yes")
    assert done.status == 1
    assert "was left as it is" in done.err
    assert (lived.state / "agentvm" / "agentvm").exists()
    (lived.home / ".ssh" / "config").chmod(0o600)
    lived.ok("uninstall", "--yes")
    assert not (lived.state / "agentvm").exists()


@pytest.mark.parametrize(("answer", "goes"), [(b"y\n", True), (b"\n", False), (b"no\n", False), (b"\x04", False)])
def test_at_a_terminal_it_asks(lived: World, answer: bytes, goes: bool) -> None:
    master, slave = os.openpty()
    with subprocess.Popen(
        [*program(), "uninstall"],
        cwd=lived.project,
        env=lived.environment,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    ) as asked:
        os.close(slave)
        said = b""
        while b"remove all of this? [y/N] " not in said:
            said += os.read(master, 1000)
        os.write(master, answer)
        with suppress(OSError):
            while os.read(master, 1000):
                """Linux ends a terminal's output with an error."""
    os.close(master)
    assert asked.returncode == (0 if goes else 1)
    assert (lived.state / "agentvm" / "agentvm").exists() is not goes
