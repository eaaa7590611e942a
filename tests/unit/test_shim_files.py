"""The shims under real shells, with stubs for agentvm and for the host's own programs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agentvm.quoting import quote

SHIMS = Path(__file__).parents[2] / "shims"
NAMES = ("claude", "codex", "opencode")
BLANK = "agentvm_program=''\n"
# As many POSIX shells as this machine has; each distribution's /bin/sh is one of them.
SHELLS = [words for words in (["/bin/sh"], ["dash"], ["bash", "--posix"], ["busybox", "sh"]) if shutil.which(words[0])]
HOSTILE = ("plain", "two words", 'it\'s "quoted" $HOME `id`', "new\nline", "-n", "*", "ünïcode \\")
ARGUMENTS = ("--flag", "two words", "", "-n", "it's", "*", "a\nb\\n")

each_hostile = pytest.mark.parametrize("word", HOSTILE)
STUB = """#!/bin/sh
printf '%s' "$0"
for argument; do printf '\\0%s' "$argument"; done
exit 7
"""
PYZ = """import sys
print(*[sys.argv[0], *sys.argv[1:]], sep="\\0", end="")
sys.exit(7)
"""


@pytest.fixture(params=SHELLS, ids=lambda words: " ".join(words))
def shell(request: pytest.FixtureRequest) -> list[str]:
    words: list[str] = request.param
    return words


def program(path: Path, text: str = STUB, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def install(path: Path, recorded: Path | None = None) -> Path:
    """A shim as `agentvm install-shims` writes it."""
    assignment = BLANK if recorded is None else f"agentvm_program={quote(str(recorded))}\n"
    return program(path, (SHIMS / "claude").read_text().replace(BLANK, assignment))


class Ran:
    """What a stub was called as, and with which arguments; or what the shim said instead."""

    def __init__(self, done: subprocess.CompletedProcess[bytes]) -> None:
        self.status = done.returncode
        self.error = done.stderr.decode()
        self.called, *self.arguments = done.stdout.decode().split("\0")

    def seen_from(self, cwd: Path) -> Ran:
        """The same with an absolute name: bash makes a relative one absolute when it starts a program, others don't."""
        self.called = str(cwd / self.called)
        return self


def run(shell: list[str], shim: Path | str, *path: Path | str, cwd: Path | None = None, **environment: str) -> Ran:
    # The shells start by their full path: the PATH of a test holds nothing but what the test puts there, and Python.
    interpreter = [shutil.which(shell[0]) or shell[0], *shell[1:]]
    entries = ":".join(map(str, path))
    done = subprocess.run(
        [*interpreter, str(shim), *ARGUMENTS],
        env={"PATH": entries, **environment},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,  # one that recurses would not end
        check=False,
    )
    return Ran(done)


def assert_ran(ran: Ran, called: Path | str, *arguments: str) -> None:
    assert (ran.called, ran.arguments, ran.status, ran.error) == (str(called), [*arguments], 7, "")


def in_vm(name: str = "claude") -> tuple[str, ...]:
    return ("run", name, *ARGUMENTS)


def python_on_path(directory: Path) -> Path:
    directory.mkdir()
    (directory / "python3").symlink_to(sys.executable)
    return directory


def test_all_are_the_same_executable_text() -> None:
    assert len({(SHIMS / name).read_bytes() for name in NAMES}) == 1
    assert all(os.access(SHIMS / name, os.X_OK) for name in NAMES)


def test_the_marker_and_the_line_to_fill_in_are_where_agentvm_looks() -> None:
    lines = (SHIMS / "claude").read_text().splitlines(keepends=True)
    assert lines[0] == "#!/bin/sh\n"
    assert lines[1].startswith("# agentvm shim")
    assert lines.count(BLANK) == 1


@pytest.mark.parametrize("name", NAMES)
def test_the_name_says_which_agent(shell: list[str], tmp_path: Path, name: str) -> None:
    recorded = program(tmp_path / "agentvm.pyz")
    assert_ran(run(shell, install(tmp_path / "shims" / name, recorded)), recorded, *in_vm(name))


@each_hostile
def test_the_recorded_program_is_run(shell: list[str], tmp_path: Path, word: str) -> None:
    recorded = program(tmp_path / word / "agentvm.pyz")
    other = program(tmp_path / "bin" / "agentvm")
    ran = run(shell, install(tmp_path / word / "claude", recorded), other.parent)
    assert_ran(ran, recorded, *in_vm())


def test_the_kernel_starts_it_too(tmp_path: Path) -> None:
    recorded = program(tmp_path / "agentvm.pyz")
    shim = install(tmp_path / "two words" / "claude", recorded)
    done = subprocess.run(["claude", *ARGUMENTS], env={"PATH": str(shim.parent)}, capture_output=True, check=False)
    assert_ran(Ran(done), recorded, *in_vm())


@each_hostile
def test_a_recorded_program_that_is_gone_is_looked_for_on_the_path(shell: list[str], tmp_path: Path, word: str) -> None:
    shim = install(tmp_path / "shims" / "claude", tmp_path / "gone.pyz")
    found = program(tmp_path / word / "agentvm")
    program(tmp_path / "later" / "agentvm.pyz")
    assert_ran(run(shell, shim, tmp_path / "later", found.parent), found, *in_vm())


def test_an_archive_on_the_path_will_do(shell: list[str], tmp_path: Path) -> None:
    found = program(tmp_path / "bin" / "agentvm.pyz")
    assert_ran(run(shell, install(tmp_path / "shims" / "claude"), found.parent), found, *in_vm())


@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "on the PATH"])
def test_an_archive_without_its_execute_bit_is_run_by_python(shell: list[str], tmp_path: Path, recorded: bool) -> None:
    python = python_on_path(tmp_path / "python")
    archive = program(tmp_path / "two words" / "agentvm.pyz", PYZ, 0o644)
    shim = install(tmp_path / "shims" / "claude", archive if recorded else None)
    assert_ran(run(shell, shim, archive.parent, python), archive, *in_vm())


@each_hostile
def test_a_checkouts_shim_runs_its_own_build(shell: list[str], tmp_path: Path, word: str) -> None:
    built = program(tmp_path / word / "dist" / "agentvm.pyz")
    shim = install(tmp_path / word / "shims" / "claude")
    assert_ran(run(shell, shim, shim.parent), shim.parent / ".." / "dist" / built.name, *in_vm())


def test_a_build_is_found_through_a_linked_directory(shell: list[str], tmp_path: Path) -> None:
    program(tmp_path / "checkout" / "dist" / "agentvm.pyz")
    install(tmp_path / "checkout" / "shims" / "claude")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "checkout" / "shims")
    assert_ran(run(shell, link / "claude", link), link / ".." / "dist" / "agentvm.pyz", *in_vm())


def test_without_agentvm_it_says_what_to_do(shell: list[str], tmp_path: Path) -> None:
    ran = run(shell, install(tmp_path / "shims" / "claude"), tmp_path)
    assert ran.status == 127
    assert ran.error.startswith("claude: agentvm was not found.")
    assert "install-shims" in ran.error


@pytest.mark.parametrize("value", ["1", "true", "Yes", "ON"])
def test_bypass_runs_the_hosts_own(shell: list[str], tmp_path: Path, value: str) -> None:
    shim = install(tmp_path / "shims" / "claude", program(tmp_path / "agentvm.pyz"))
    own = program(tmp_path / "bin" / "claude")
    assert_ran(run(shell, shim, shim.parent, own.parent, AGENTVM_BYPASS=value), own, *ARGUMENTS)


@pytest.mark.parametrize("value", ["", "0", "off", "perhaps"])
def test_anything_else_is_agentvms_to_judge(shell: list[str], tmp_path: Path, value: str) -> None:
    recorded = program(tmp_path / "agentvm.pyz")
    own = program(tmp_path / "bin" / "claude")
    ran = run(shell, install(tmp_path / "shims" / "claude", recorded), own.parent, AGENTVM_BYPASS=value)
    assert_ran(ran, recorded, *in_vm())


def test_in_the_guest_it_is_always_bypassed(shell: list[str], tmp_path: Path) -> None:
    shim = install(tmp_path / "shims" / "claude", program(tmp_path / "agentvm.pyz"))
    own = program(tmp_path / "bin" / "claude")
    ran = run(shell, shim, shim.parent, own.parent, AGENTVM_GUEST="1", AGENTVM_BYPASS="0")
    assert_ran(ran, own, *ARGUMENTS)


@each_hostile
def test_bypass_passes_every_shim_by(shell: list[str], tmp_path: Path, word: str) -> None:
    shim = install(tmp_path / word / "claude")
    other = install(tmp_path / "other" / "claude", tmp_path / "agentvm.pyz")
    (tmp_path / "linked").symlink_to(shim.parent)
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "claude").symlink_to(other)
    own = program(tmp_path / f"own {word}" / "claude")
    path = (shim.parent, other.parent, tmp_path / "linked", tmp_path / "links", tmp_path / "absent", own.parent)
    assert_ran(run(shell, shim, *path, AGENTVM_BYPASS="1"), own, *ARGUMENTS)


def test_bypass_passes_itself_by_though_its_marker_is_lost(shell: list[str], tmp_path: Path) -> None:
    shim = install(tmp_path / "shims" / "claude")
    shim.write_text(shim.read_text().replace("# agentvm shim", "# my own", 1))
    own = program(tmp_path / "bin" / "claude")
    assert_ran(run(shell, shim, shim.parent, own.parent, AGENTVM_BYPASS="1"), own, *ARGUMENTS)


def test_bypass_passes_by_what_cannot_be_run(shell: list[str], tmp_path: Path) -> None:
    (tmp_path / "directory" / "claude").mkdir(parents=True)
    program(tmp_path / "text" / "claude", mode=0o644)
    own = program(tmp_path / "bin" / "claude")
    shim = install(tmp_path / "shims" / "claude")
    ran = run(shell, shim, tmp_path / "directory", tmp_path / "text", own.parent, AGENTVM_BYPASS="1")
    assert_ran(ran, own, *ARGUMENTS)


@pytest.mark.parametrize("path", [("", "/absent"), ("/absent", ""), ("/absent", "", "/absent")])
def test_an_empty_entry_is_the_current_directory(shell: list[str], tmp_path: Path, path: tuple[str, ...]) -> None:
    own = program(tmp_path / "here" / "claude")
    shim = install(tmp_path / "shims" / "claude")
    ran = run(shell, shim, *path, cwd=own.parent, AGENTVM_BYPASS="1")
    assert_ran(ran.seen_from(own.parent), own, *ARGUMENTS)


def test_an_empty_entry_in_the_shims_own_directory_does_not_recurse(shell: list[str], tmp_path: Path) -> None:
    shim = install(tmp_path / "shims" / "claude")
    own = program(tmp_path / "bin" / "claude")
    ran = run(shell, "./claude", "", own.parent, cwd=shim.parent, AGENTVM_BYPASS="1")
    assert_ran(ran, own, *ARGUMENTS)


@pytest.mark.parametrize("entry", ["-n", "bin", "two words"])
def test_a_relative_entry_works(shell: list[str], tmp_path: Path, entry: str) -> None:
    own = program(tmp_path / entry / "claude")
    shim = install(tmp_path / "shims" / "claude")
    ran = run(shell, shim, entry, cwd=tmp_path, AGENTVM_BYPASS="1")
    assert_ran(ran.seen_from(tmp_path), own, *ARGUMENTS)


def test_a_binary_is_no_shim(shell: list[str], tmp_path: Path) -> None:
    own = program(tmp_path / "bin" / "echo")
    shutil.copy(shutil.which("echo") or "/bin/echo", own)
    ran = run(shell, install(tmp_path / "shims" / "echo"), own.parent, AGENTVM_BYPASS="1")
    assert (ran.called, ran.status, ran.error) == (" ".join(ARGUMENTS) + "\n", 0, "")


def test_bypass_without_the_hosts_own_says_so(shell: list[str], tmp_path: Path) -> None:
    shim = install(tmp_path / "shims" / "codex", program(tmp_path / "agentvm.pyz"))
    ran = run(shell, shim, shim.parent, AGENTVM_BYPASS="1")
    assert ran.status == 127
    assert ran.error.startswith("codex: no other program of this name is on the PATH.")


def test_shellcheck_finds_nothing() -> None:
    subprocess.run([Path(sys.executable).with_name("shellcheck"), "--norc", SHIMS / "claude"], check=True)
