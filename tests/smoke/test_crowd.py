"""Many at once on real Lima, in directories of any name. The three VMs boot together, and all stages use them."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from agentvm.lima.template import lima_point
from agentvm.model import Mount
from tests.hostile import CASES, WORDS, try_many
from tests.smoke.computer import BUNDLES, VIRTIOFSD, Computer, program
from tests.smoke.terminal import terminal
from tests.tables import Record

CROWD = 10
SESSIONS = 20
NAMES = [
    "it's",
    'say "hi"',
    "$(touch pwned)",
    "`id`",
    "größe 日本",
    "-rf",
    "{{.Home}}",
    "back\\slash",
    "# a: b",
]
COMMAS = ["a,readonly=off", ",path=etc"]
"""Where QEMU does not read them."""
PIECE = 2_000
"""Words that travel together."""


class Crowd:
    """A user with directories of every kind for all VMs, and three projects."""

    def __init__(self, computer: Computer) -> None:
        self.computer = computer
        self.computer.unset(*BUNDLES)
        home = self.computer.home.resolve()
        commas = COMMAS if (home / VIRTIOFSD).exists() else []
        self.shared = [home / "data" / name for name in NAMES + commas]
        for path in self.shared:
            path.mkdir(parents=True)
            (path / "file").write_text(path.name)
        config = home / ".config/agentvm/config.toml"
        config.parent.mkdir(parents=True)
        entries = (f'[[mounts]]\npath = {json.dumps(str(path))}\nmode = "rw"\n' for path in self.shared)
        config.write_text('pass_env = ["VALUE_*"]\n' + "".join(entries))
        self.plain = self.computer.project("plain")
        self.quoted = self.computer.project('a "second"\n{{.One}}& it\'s')
        self.linked = self.computer.project("third, or not" if commas else "third")
        self.link = home / "link"
        self.link.symlink_to(self.linked)
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, directory: Path, *words: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [*program(), "shell", "--", *words],
            cwd=directory,
            env=self.computer.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.started.append(process)
        return process

    def hold(self, directory: Path, number: int = 1) -> list[subprocess.Popen[bytes]]:
        """Sessions that run until their standard input is closed; they run when this returns."""
        held = [self.start(directory, "sh", "-c", "pwd | tr '\\n' /; echo; cat") for _ in range(number)]
        for process in held:
            assert process.stdout
            shown = process.stdout.readline()
            assert shown.decode() == f"{directory.resolve()}/".replace("\n", "/") + "\n", process.communicate()
        return held

    def mounts(self, project: Path) -> list[Mount]:
        """Those that were asked for, as the label has them."""
        name = self.computer.status(project)["instance"]
        label = json.loads((self.computer.lima_home / name / "agentvm.json").read_text())
        return [Mount(mount["location"], mount["point"], mount["writable"]) for mount in label["mounts"]]


@pytest.fixture(scope="module")
def crowd(computer: Computer, base: str) -> Iterator[Crowd]:
    made = Crowd(computer)
    try:
        yield made
    finally:
        for process in made.started:
            process.kill()
            process.communicate()
        for project in (made.plain, made.quoted, made.linked):
            made.computer.run(project, "rm", "--force")


@pytest.mark.together
def test_ten_first_runs_in_one_project_beside_two_other_projects(crowd: Crowd, record: Record) -> None:
    started = [*(crowd.start(crowd.plain, "sh", "-c", "echo here; cat") for _ in range(CROWD))]
    others = [crowd.start(path, "sh", "-c", "echo here; cat") for path in (crowd.quoted, crowd.link)]
    for process in started + others:
        assert process.stdout
        assert process.stdout.readline() == b"here\n", process.communicate()
    assert len(crowd.computer.status(crowd.plain)["sessions"]) == CROWD
    projects = [entry for entry in crowd.computer.instances().values() if entry["role"] == "project"]
    assert sorted(entry["project"] for entry in projects) == sorted(map(str, (crowd.plain, crowd.quoted, crowd.linked)))
    assert {entry["status"] for entry in projects} == {"running"}
    said = b"".join(process.communicate()[1] for process in started + others)
    assert said.count(b"agentvm: clone ") == 3
    assert b"waiting for another agentvm (process " in said
    assert {process.returncode for process in started + others} == {0}
    record("first runs at once in one project, real Lima", "one VM, ten sessions", tried=CROWD)
    record("projects at once, real Lima", "a VM each", tried=3)


@pytest.mark.together
def test_what_would_end_twenty_one_sessions_is_refused(crowd: Crowd, record: Record) -> None:
    sessions = crowd.hold(crowd.plain, SESSIONS + 1)
    computer = crowd.computer
    refused = (
        computer.run(crowd.plain, "rm"),
        computer.run(crowd.plain, "stop"),
        computer.run(crowd.plain, "shell", "--", "true", AGENTVM_CPUS="1"),
    )
    for done in refused:
        assert done.status == 1
        assert set(re.findall(r"sh \(process (\d+)\)", done.err)) == {str(process.pid) for process in sessions}
    for number, process in enumerate(sessions):
        assert process.communicate(b"%d\n" % number)[0] == b"%d\n" % number
        assert process.returncode == 0
    record("sessions on one VM, real Lima", "each has its own streams", tried=len(sessions))
    record("rm, stop, a changed toggle beside them, real Lima", "refused, all named", tried=len(refused))


# --- Names -----------------------------------------------------------------------------------------------------------------


@pytest.mark.quoting
@pytest.mark.parametrize("which", ["quoted", "link"])
def test_directories_of_any_name_are_at_their_places_and_no_other_is(crowd: Crowd, which: str, record: Record) -> None:
    project: Path = getattr(crowd, which)
    mounts = crowd.mounts(project)
    wanted = {mount.point for mount in mounts}
    assert {str(path) for path in crowd.shared} | {str(project.resolve())} <= wanted
    shares = crowd.computer.shell(project, "findmnt -rnv -t 9p,virtiofs -o TARGET").split("\n")
    assert {_unescape(line) for line in shares} == wanted | {lima_point(mount) for mount in mounts}
    paths = [str(path) for path in crowd.shared]
    script = 'for path; do cat "$path/file"; printf "\\0"; printf guest >"$path/from"; done'
    shown = crowd.computer.ok(project, "shell", "--", "sh", "-c", script, "sh", *paths).out
    assert shown.decode().split("\0")[:-1] == [path.name for path in crowd.shared]
    assert {(path / "from").read_text() for path in crowd.shared} == {"guest"}
    assert not list(crowd.computer.home.rglob("pwned"))
    record(f"directories in a VM of {project.resolve().name!r}", "each at its path, no other", tried=len(mounts))


@pytest.mark.quoting
def test_words_and_values_reach_a_program_in_a_vm(crowd: Crowd, record: Record) -> None:
    """By ssh and the guest's own sh."""
    words: list[str] = []
    try_many(WORDS, words.extend)
    queue = iter(words)
    while piece := list(islice(queue, PIECE)):
        done = crowd.computer.ok(crowd.quoted, "shell", "--", "printf", "%s\\0", *piece)
        assert done.out == b"".join(os.fsencode(word) + b"\0" for word in piece)
        # What is empty is not passed.
        values = {f"VALUE_{number:04}": word for number, word in enumerate(piece) if word}
        show = "export LC_ALL=C; env -0 | grep -az ^VALUE_ | sort -z"
        shown = crowd.computer.ok(crowd.quoted, "shell", "--", "sh", "-c", show, stdin=b"", **values).out
        assert shown == b"".join(os.fsencode(f"{name}={value}") + b"\0" for name, value in values.items())
    assert len(words) >= CASES
    record("arguments, into a VM", "unchanged", tried=len(words))
    record("values of variables, into a VM", "unchanged", tried=len(words))


# --- By force --------------------------------------------------------------------------------------------------------------


@pytest.mark.together
def test_a_session_at_a_terminal_that_is_ended_by_force_says_so_and_leaves_it_sane(
    crowd: Crowd, record: Record
) -> None:
    command = shlex.join([*program(), "shell", "--", "sh", "-c", "stty raw -echo; echo re''ady; sleep 1000"])
    environment = crowd.computer.environment | {"PS1": "prompt> "}
    with terminal(["bash", "--norc", "--noprofile", "--noediting", "-i"], crowd.plain, environment) as user:
        user.expect(b"prompt> ")
        user.type(b"echo before-$(stty -g)-\r")
        user.expect(b"\nbefore-")
        before = user.expect(b"-")
        user.type(command.encode() + b"\r")
        user.expect(b"ready")
        crowd.computer.ok(crowd.plain, "stop", "--force")
        user.expect(b"ended from outside: another agentvm (process ")
        user.expect(b"prompt> ")
        user.type(b"echo after-$(stty -g)-\r")
        user.expect(b"\nafter-")
        assert user.expect(b"-") == before
        user.type(b"exit\r")
        user.rest()
        user.wait()
    assert crowd.computer.status(crowd.plain)["status"] == "stopped"
    record("stop --force beside a session at a terminal, real Lima", "it says by whom, the terminal is sane")


def _unescape(line: str) -> str:
    """What findmnt writes as \\xNN."""
    return re.sub(rb"\\x([0-9a-f]{2})", lambda found: bytes([int(found[1], 16)]), line.encode()).decode()
