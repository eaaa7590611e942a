"""What keeps a start quick, without a clock: what is imported, and which processes are started."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from standin import Warm, warm

BARE = [sys.executable, "-I", "-S"]
ANY_START = frozenset("__future__ _collections_abc _stat errno gc genericpath os posixpath stat".split())
"""What every start imports beside what Python needs to run a file; os.path itself imports errno from 3.13 on."""
LIGHT = frozenset(
    # contextlib, and what it is made of.
    """_collections _functools _operator _weakref collections contextlib copyreg functools itertools keyword operator reprlib
    types warnings""".split()
)
FILES = frozenset("_json _sha2 _sha256 collections.abc errno fcntl".split())
SESSION = frozenset("_socket _struct select struct termios".split())
ALLOWED = {
    ("--version",): ANY_START,
    ("--help",): ANY_START,
    ("completion", "bash"): ANY_START,
    ("complete-instances",): ANY_START | LIGHT | FILES,
    ("shell", "--", "true"): ANY_START | LIGHT | FILES | SESSION,
    ("claude", "--version"): ANY_START | LIGHT | FILES | SESSION,
}
"""Each of these costs little. To name them is to notice what costs much: typing, enum, re, json, subprocess, tempfile."""
REPORT = """\
import json, runpy, sys
started = []
STARTS = {"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "subprocess.Popen"}
sys.addaudithook(lambda event, values: started.append(str(values[0])) if event in STARTS else None)
log, sys.argv = sys.argv[1], sys.argv[2:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    with open(log, "w") as file:
        json.dump(started, file)
"""


@pytest.fixture(scope="module")
def world(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    # The name of a socket may have some hundred characters.
    with warm([str(archive)], tmp_path_factory.mktemp("w"), "#!/bin/sh\n") as made:
        yield made


@pytest.fixture(scope="module")
def door(archive: Path, world: Warm) -> list[str]:
    """What the archive's own lines start."""
    (found,) = Path(world.environment["HOME"]).rglob("builds/*/site-packages/agentvm/__main__.py")
    return [str(found), str(archive)]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """What Python imports to run a file that does nothing."""
    empty = tmp_path_factory.mktemp("empty") / "empty.py"
    empty.touch()
    return imported([str(empty)])


def imported(words: Sequence[str], world: Warm | None = None) -> set[str]:
    done = subprocess.run(
        [*BARE, "-X", "importtime", *words],
        env=world.environment if world else {},
        cwd=world.project if world else None,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


@pytest.mark.parametrize("words", ALLOWED, ids=" ".join)
def test_it_imports_no_more_than_it_needs(words: tuple[str, ...], door: list[str], world: Warm, own: set[str]) -> None:
    found = {name for name in imported([*door, *words], world) if name.partition(".")[0] != "agentvm"}
    assert found - own - {"imported package"} <= ALLOWED[words]


@pytest.mark.parametrize("words", [("shell", "--", "true"), ("claude", "--version")], ids=" ".join)
def test_a_warm_run_starts_git_and_ssh(words: tuple[str, ...], door: list[str], world: Warm, tmp_path: Path) -> None:
    assert started(words, door, world, tmp_path) == ["git", "ssh"]


@pytest.mark.parametrize("words", [words for words in ALLOWED if words[0] not in ("shell", "claude")], ids=" ".join)
def test_what_needs_no_vm_starts_nothing(words: tuple[str, ...], door: list[str], world: Warm, tmp_path: Path) -> None:
    assert started(words, door, world, tmp_path) == []


def started(words: tuple[str, ...], door: list[str], world: Warm, scratch: Path) -> list[str]:
    """The programs, by name, as Python itself reports them."""
    log = scratch / "started"
    subprocess.run(
        [*BARE, "-c", REPORT, str(log), *door, *words],
        env=world.environment,
        cwd=world.project,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    return [Path(program).name for program in json.loads(log.read_text())]
