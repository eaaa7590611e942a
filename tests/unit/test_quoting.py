"""Values on their way through a real sh, in the very texts that agentvm sends into a guest."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import strategies as st

from agentvm.errors import UsageError
from agentvm.lima.directory import Directory
from agentvm.lima.mounts import placing_script
from agentvm.lima.ssh import command_argv
from agentvm.lima.template import lima_point
from agentvm.manifest import PACKAGES, SCRIPTS, Manifest, Script, load_manifest, parse_packages
from agentvm.model import Mount
from agentvm.provision import provisioning_steps
from agentvm.quoting import join, quote
from agentvm.session import Attachment, Program, build_script
from agentvm.sharing import Link, Sharing
from tests.hostile import NAMES, PATHS, WORDS, try_many
from tests.tables import Record

HOSTILE = (
    "",
    " ",
    "-n",
    "'",
    "''",
    "'\\''",
    '"',
    "\\",
    "\\n",
    "$HOME",
    "$(id)",
    "`id`",
    "*",
    "~",
    "~root",
    "a\nb",
    "\n",
    "\t",
    "\r",
    "!!",
    "#",
    "a;b",
    "a&b|c>d<e",
    "{a,b}",
    "%s",
    "\x01\x7f\x1b[31m",
    "naïve",
    "\N{SNOWMAN}",
    "\udcff\udc80",
)
SHELLS = [words for words in (["dash"], ["bash", "--posix"], ["busybox", "sh"]) if shutil.which(words[0])]
ATTACHMENT = Attachment(terminal=False, token="0123456789abcdef")
NOTHING = Sharing((), (), (), Link("/nowhere", ".ssh"), False, ())


def through(shell: list[str], text: str, **environment: str) -> list[str]:
    """The words, each with a NUL behind it, that a piece of shell text prints."""
    done = subprocess.run(
        [*shell, "-c", 'eval "$TEXT"'],
        env={"PATH": os.environ["PATH"], "TEXT": text, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=True,
    )
    return [os.fsdecode(word) for word in done.stdout.split(b"\0")[:-1]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("home"))


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_hostile_words_arrive_unchanged(shell: list[str]) -> None:
    assert through(shell, "printf '%s\\0' " + join(HOSTILE)) == list(HOSTILE)


@pytest.mark.parametrize("text", ["\0", "a\0b"])
def test_nul_fits_no_word(text: str) -> None:
    with pytest.raises(ValueError, match="NUL"):
        quote(text)


@pytest.mark.quoting
def test_arguments_and_values_of_variables(home: str, record: Record) -> None:
    """By the whole session script, to a program that is started by it."""

    def check(pairs: list[tuple[str, str]]) -> None:
        words, values = zip(*pairs, strict=True)
        names = [f"VALUE_{number}" for number in range(len(values))]
        show = 'printf "%s\\0" "$@" ' + " ".join(f'"${name}"' for name in names)
        environment = tuple(zip(names, values, strict=True))
        script = build_script(NOTHING, Program(("sh", "-c", show, "sh", *words), "/", environment), ATTACHMENT)
        for shell in SHELLS:
            assert through(shell, script, HOME=home) == [*words, *values]

    tried = try_many(st.tuples(WORDS, WORDS), check)
    record("arguments, through the session script", _shells(), tried=tried)
    record("values of variables, through the session script", _shells(), tried=tried)


@pytest.mark.quoting
def test_paths_of_projects(record: Record) -> None:
    """By the script that binds mounts to their places; what it starts only says so."""
    says = "mountpoint() { :; }\nfindmnt() { :; }\nmkdir() { :; }\nmount() { printf '%s\\0' \"$@\"; }\n"

    def check(paths: list[str]) -> None:
        mounts = tuple(Mount("/x", path, True) for path in paths)
        aside = [(point, mount.point) for mount in mounts if (point := lima_point(mount)) != mount.point]
        expected = [word for point, path in aside for word in ("--bind", point, path)]
        for shell in SHELLS:
            assert through(shell, says + placing_script(mounts)) == expected

    record("paths of projects, bound to their places", _shells(), tried=try_many(PATHS, check))


@pytest.mark.quoting
def test_the_current_directory(home: str, record: Record) -> None:
    """One a script; it is really there, and the program is in it."""

    def check(paths: list[str]) -> None:
        for directory in (f"{home}/projects{path}" for path in paths):
            os.makedirs(directory, exist_ok=True)
            script = build_script(NOTHING, Program(("sh", "-c", 'printf "%s\\0" "$PWD"'), directory), ATTACHMENT)
            for shell in SHELLS:
                assert through(shell, script, HOME=home) == [directory]

    record("the current directory, through the session script", _shells(), tried=try_many(PATHS, check, 250))


@pytest.mark.quoting
def test_paths_of_configuration_directories(home: str, record: Record) -> None:
    """Linked by the session script; what it starts only says so."""
    says = "mkdir() { :; }\nln() { printf '%s\\0' \"$2\"; }\n"
    os.makedirs(f"{home}/.local/state/agentvm/run", exist_ok=True)

    def check(paths: list[str]) -> None:
        sharing = NOTHING._replace(links=tuple(Link(path, ".claude") for path in paths))
        script = build_script(sharing, Program(("true",), "/"), ATTACHMENT)
        for shell in SHELLS:
            assert through(shell, says + script, HOME=home) == paths

    record("paths of config directories, linked", _shells(), tried=try_many(PATHS, check))


@pytest.mark.quoting
def test_names_of_packages(tmp_path: Path, record: Record) -> None:
    """Refused, or a word for apt that is no option."""
    said = tmp_path / "said"
    for name, text in {"apt-get": _APT_GET, "dpkg-query": "exit 1"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    accepted = 0

    def check(lines: list[str]) -> None:
        nonlocal accepted
        packages = tuple(dict.fromkeys(name for line in lines for name in _packages(line)))
        accepted += len(packages)
        assert not any(name.startswith("-") for name in packages)
        for step in provisioning_steps(Manifest("", (), packages, ())):
            for shell in SHELLS:
                through(shell, step.command.stdin.decode(), PATH=f"{tmp_path}:{os.environ['PATH']}", SAID=str(said))
                assert said.read_text().split("\0")[:-1] == list(packages)

    tried = try_many(st.one_of(NAMES, _LIKE_PACKAGES), check)
    assert tried // 10 < accepted < tried
    record(
        "names of packages, through apt's script", f"{accepted} taken and {_shells()}, the others refused", tried=tried
    )


@pytest.mark.quoting
def test_names_of_scripts(tmp_path: Path, record: Record) -> None:
    """Refused, passed over, or a file of that name in one directory of the guest."""
    (tmp_path / PACKAGES).write_text("")
    accepted = 0

    def check(names: list[str]) -> None:
        nonlocal accepted
        taken = [script for name in names for script in _scripts(tmp_path, name)]
        accepted += len(taken)
        steps = provisioning_steps(Manifest("", (), (), tuple(taken)))
        assert [step.command.argv[-1] for step in steps] == [f"/var/lib/agentvm/{script.name}" for script in taken]
        words = [word for step in steps for word in step.command.argv]
        lines = [f"printf '%s\\0' {command_argv(_VM, 'vm', step.command.argv)[-1]}" for step in steps]
        for shell in SHELLS:
            assert through(shell, "\n".join(lines)) == words

    tried = try_many(st.one_of(NAMES, _LIKE_SCRIPTS), check)
    assert tried // 20 < accepted < tried
    record(
        "names of scripts, through ssh's command", f"{accepted} taken and {_shells()}, the others refused", tried=tried
    )


_APT_GET = """\
for word; do
    shift
    [ "$word" != install ] || printf '%s\\0' "$@" >"$SAID"
done"""
_LIKE_PACKAGES = st.from_regex(r"[a-z0-9][a-z0-9+.-]{1,8}(=[0-9.:~-]{1,5})?['; $-]?", fullmatch=True)
_LIKE_SCRIPTS = st.from_regex(r"[A-Za-z0-9._'; $-]{1,6}\.sh", fullmatch=True)
_VM = Directory("/vms/vm")


def _packages(line: str) -> tuple[str, ...]:
    try:
        return parse_packages(line, PACKAGES)
    except UsageError:
        return ()


def _scripts(manifest: Path, name: str) -> tuple[Script, ...]:
    """Those of a manifest with one script of this name."""
    directory = manifest / SCRIPTS
    directory.mkdir()
    try:
        (directory / name).write_text("")
        return load_manifest(str(manifest)).scripts
    except UsageError:
        return ()
    finally:
        shutil.rmtree(directory)


def _shells() -> str:
    return "unchanged in " + ", ".join(shell[0] for shell in SHELLS)
