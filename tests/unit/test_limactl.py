"""limactl's argv, JSON and errors. A command that was registered and did not run fails the test, as does any other one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pytest_subprocess import FakeProcess

from agentvm.errors import Error
from agentvm.files import hold
from agentvm.lima.limactl import Limactl
from agentvm.model import Host
from agentvm.settings import read_settings
from tests.tables import Record

Run = Callable[..., None]
FLAGS = ("--tty=false", "--log-format=json")
LIST = ("list", *FLAGS, "--format", "{{json .}}")

LOST = "\N{REPLACEMENT CHARACTER}"


@pytest.fixture
def limactl(host: Host, tmp_path: Path) -> Limactl:
    return Limactl(host, read_settings(host), str(tmp_path / "state" / "empty"))


@pytest.fixture
def expect(fp: FakeProcess) -> Iterator[Run]:
    """Say which limactl is to be run, and what it answers."""

    def register(*words: str, stdout: str = "", stderr: str = "", status: int = 0) -> None:
        # A keeper of the instance's lock may stand before it.
        fp.register([fp.any(), "limactl", *words], stdout=stdout, stderr=stderr, returncode=status)

    yield register
    assert not fp.definitions, f"never run: {list(fp.definitions)}"


@pytest.fixture
def new(expect: Run) -> Run:
    """The same, after a limactl that is new enough."""
    expect("--version", stdout="limactl version 2.0.0\n")
    return expect


def fatal(text: str) -> str:
    lines = ({"level": "info", "msg": "starting"}, {"level": "fatal", "msg": text, "time": "now"})
    return "\n".join(map(json.dumps, lines))


def test_the_list_is_one_object_a_line(limactl: Limactl, expect: Run) -> None:
    expect(*LIST, stdout='{"name":"a"}\n{"name":"b","message":"x\\ny"}\n')
    assert limactl.entries() == [{"name": "a"}, {"name": "b", "message": "x\ny"}]


def test_named_entries(limactl: Limactl, expect: Run) -> None:
    expect(*LIST, "a", stdout='{"name":"a"}\n')
    assert limactl.entries("a") == [{"name": "a"}]


def test_an_entry_that_is_not_there(limactl: Limactl, expect: Run) -> None:
    expect(*LIST, "a", stderr=fatal("unmatched instances"), status=1)
    assert limactl.entries("a") == []


def test_one_half_made_directory_does_not_hide_the_others(limactl: Limactl, expect: Run, home: Path) -> None:
    """Before Lima 2.2 it fails the whole list."""
    for name in ("half", "whole", "_config"):
        (home / ".lima" / name).mkdir(parents=True)
    (home / ".lima/whole/lima.yaml").write_text("")
    (home / ".lima/_config/lima.yaml").write_text("")
    expect(*LIST, stderr=fatal("open half/lima.yaml: no such file"), status=1)
    expect(*LIST, "whole", stdout='{"name":"whole"}\n')
    assert limactl.entries() == [{"name": "whole"}]


def test_a_list_that_fails(limactl: Limactl, expect: Run) -> None:
    expect(*LIST, "a", stderr=fatal("out of order"), status=1)
    with pytest.raises(Error, match="limactl list failed: out of order"):
        limactl.entries("a")


@pytest.mark.parametrize(
    ("do", "words"),
    [
        (lambda it: it.create("a", b"{}"), ("create", *FLAGS, "--name", "a", "--set", ".mounts = []", "-")),
        (lambda it: it.clone("a", "b", ".x = 1"), ("clone", *FLAGS, "--set", ".x = 1", "a", "b")),
        (lambda it: it.edit("a", ".x = 1"), ("edit", *FLAGS, "--set", ".x = 1", "a")),
        (lambda it: it.start("a"), ("start", *FLAGS, "--timeout", "600s", "a")),
        (lambda it: it.stop("a", False), ("stop", *FLAGS, "a")),
        (lambda it: it.stop("a", True), ("stop", *FLAGS, "--force", "a")),
        (lambda it: it.delete("a", False), ("delete", *FLAGS, "a")),
        (lambda it: it.delete("a", True), ("delete", *FLAGS, "--force", "a")),
    ],
)
def test_commands(limactl: Limactl, new: Run, do: Callable[[Limactl], object], words: tuple[str, ...]) -> None:
    new(*words)
    do(limactl)


def test_the_version_is_asked_for_once(limactl: Limactl, new: Run) -> None:
    new("stop", *FLAGS, "a")
    new("delete", *FLAGS, "a")
    limactl.stop("a", False)
    limactl.delete("a", False)


@pytest.mark.parametrize(
    "version", ["2.0.0", "2.2.1", "v2.1.0-rc.1", "3.0.0", "10.0.0", "HEAD-1a2b3c4", "2.0.0-12-gabc.m"]
)
def test_new_enough(limactl: Limactl, expect: Run, version: str) -> None:
    expect("--version", stdout=f"limactl version {version}\n")
    limactl.check_version()


@pytest.mark.parametrize("version", ["1.2.1", "1.99.0", "v0.23.2"])
def test_too_old(limactl: Limactl, expect: Run, version: str) -> None:
    expect("--version", stdout=f"limactl version {version}\n")
    with pytest.raises(Error, match=f"limactl {version} is too old: agentvm needs 2.0.0 or later") as caught:
        limactl.delete("a", False)
    assert "https://lima-vm.io" in caught.value.hint


def test_not_installed(host: Host, tmp_path: Path) -> None:
    nowhere = host._replace(environment=host.environment | {"AGENTVM_LIMACTL": "no-such-limactl"})
    with pytest.raises(Error, match="Lima is not installed: no-such-limactl was not found") as caught:
        Limactl(nowhere, read_settings(nowhere), str(tmp_path / "state" / "empty")).entries()
    assert "AGENTVM_LIMACTL" in caught.value.hint


def test_root(host: Host, tmp_path: Path, expect: Run) -> None:
    root = host._replace(user=0)
    with pytest.raises(Error, match="does not run as root"):
        Limactl(root, read_settings(root), str(tmp_path / "state" / "empty")).entries()


@pytest.mark.parametrize(
    ("stderr", "text", "hint"),
    [
        (fatal("it broke"), "it broke", "doctor"),
        (fatal("write /x: no space left on device"), "write /x: no space left on device", "Free some disk space"),
        ("qemu: not JSON\n", "qemu: not JSON", "doctor"),
        (f"[1]\n7\nnull\n{fatal('it broke')}", "null; it broke", "doctor"),
        ("\n".join(map(fatal, ("one", "two", "three"))), "two; three", "doctor"),
        ("", "exit status 1", "doctor"),
        # It tells what ssh in the guest said.
        (
            fatal("it said \033]0;owned\007\nagentvm: all is well"),
            f"it said {LOST}]0;owned{LOST} agentvm: all is well",
            "doctor",
        ),
        (fatal("x" * 100_000), "x" * 300 + "…", "doctor"),
    ],
)
def test_what_limactl_complains_of(limactl: Limactl, new: Run, stderr: str, text: str, hint: str) -> None:
    new("edit", *FLAGS, "--set", "x", "a", stderr=stderr, status=1)
    with pytest.raises(Error) as caught:
        limactl.edit("a", "x")
    assert caught.value.message == f"limactl edit failed: {text}"
    assert hint in caught.value.hint


def test_a_start_that_failed_is_judged_by_the_caller(limactl: Limactl, new: Run) -> None:
    new("start", *FLAGS, "--timeout", "600s", "a", stderr=fatal("degraded"), status=1)
    assert limactl.start("a").status == 1


# With a real program in limactl's place: what it is given beside its words

STUB = """#!/bin/sh
case $1 in
--version) echo limactl version 2.2.0 ;;
*) { pwd -P; echo "$LIMA_TEMPLATES_PATH"; cat; } >"$HOME/given" ;;
esac
"""


@pytest.fixture
def stubbed(host: Host, tmp_path: Path) -> Limactl:
    (tmp_path / "limactl").write_text(STUB)
    (tmp_path / "limactl").chmod(0o755)
    stub = host._replace(environment=host.environment | {"AGENTVM_LIMACTL": str(tmp_path / "limactl")})
    return Limactl(stub, read_settings(stub), str(tmp_path / "state" / "empty"))


def test_start_finds_no_template_to_make_a_vm_from(stubbed: Limactl, home: Path, tmp_path: Path) -> None:
    """Else `limactl start` of a name that is gone makes a VM that shows the guest the host's home."""
    stubbed.start("a")
    _, templates, *_ = (home / "given").read_text().split("\n")
    assert templates == str(tmp_path / "state" / "empty")
    assert not list(Path(templates).iterdir())


def test_create_reads_its_template_from_standard_input_in_an_empty_directory(stubbed: Limactl, home: Path) -> None:
    stubbed.create("a", b'{"base":[]}')
    directory, templates, document = (home / "given").read_text().split("\n")
    assert (templates, document) == ("", '{"base":[]}'), "only start is guarded: create needs the templates"
    assert not list(Path(directory).iterdir())


# One that hangs

HANGING = """#!/bin/sh
case $1 in
--version) echo limactl version 2.2.0 ;;
*) exec sleep 60 ;;
esac
"""


HANGS: dict[str, Callable[[Limactl], object]] = {
    "list": lambda it: it.entries(),
    "create": lambda it: it.create("a", b"{}"),
    "clone": lambda it: it.clone("a", "b", ".x = 1"),
    "edit": lambda it: it.edit("a", ".x = 1"),
    "start": lambda it: it.start("a"),
    "stop": lambda it: it.stop("a", True),
    "delete": lambda it: it.delete("a", False),
}


@pytest.mark.faults
@pytest.mark.parametrize("command", HANGS)
def test_a_limactl_that_hangs_is_stopped_and_the_setting_named(
    host: Host, tmp_path: Path, command: str, record: Record
) -> None:
    (tmp_path / "limactl").write_text(HANGING)
    (tmp_path / "limactl").chmod(0o755)
    limits = {
        "AGENTVM_LIMACTL": str(tmp_path / "limactl"),
        "AGENTVM_START_TIMEOUT": "1",
        "AGENTVM_LIMACTL_TIMEOUT": "2",
    }
    impatient = host._replace(environment=host.environment | limits)
    with pytest.raises(Error, match=f"limactl {command} .* did not end in") as caught:
        HANGS[command](Limactl(impatient, read_settings(impatient), str(tmp_path / "state" / "empty")))
    setting = "AGENTVM_START_TIMEOUT" if command == "start" else "AGENTVM_LIMACTL_TIMEOUT"
    assert caught.value.hint.startswith(f"{setting} gives it more seconds")
    record(f"limactl {command} hangs", "stopped in its time, and the setting named that gives it more")


def test_who_waits_for_a_limactl_that_was_left_says_so(host: Host, tmp_path: Path) -> None:
    """The lock is the one that a limactl keeps when its agentvm was killed."""
    left = hold(str(tmp_path / "state" / "working" / "a"))
    said = []
    with ExitStack() as held:
        held.enter_context(left)

        def report(text: str) -> None:
            said.append(text)
            held.close()

        Limactl(host, read_settings(host), str(tmp_path / "state" / "empty"), report).settle("a")
    assert said == ["waiting for a limactl that an agentvm which was killed has left at work on a; Ctrl-C gives up"]
