"""What the front door does: the first start, the later ones, and the bad ones."""

from __future__ import annotations

import ast
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

import build
from agentvm import __version__
from agentvm.quoting import quote
from tests.archive.conftest import Installed, start

ANSWER = f"agentvm {__version__}\n"
DAY = 24 * 60 * 60


def test_first_start_fills_the_cache_and_the_second_changes_nothing(installed: Installed) -> None:
    assert installed.start("--version").stdout == ANSWER
    before = list_files(installed.builds)
    assert installed.start("--version").stdout == ANSWER
    assert list_files(installed.builds) == before


def test_starts_through_a_link_and_from_a_relative_path(installed: Installed) -> None:
    link = installed.home / "agentvm"
    link.symlink_to(os.path.relpath(installed.program, installed.home))
    done = subprocess.run(
        [sys.executable, "agentvm", "--version"],
        cwd=installed.home,
        env=installed.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ANSWER


# --- By its own name, when a shell opens the door ----------------------------------------------------------------------

TRACE = "import sys\nprint(sys.argv)\n"


def test_by_its_name_it_starts_from_the_zip_and_then_from_the_cache(installed: Installed) -> None:
    assert installed.run("--version").stdout == ANSWER
    installed.door.write_text(TRACE)
    words = ["", "a b", "'", '"', "$(id)", "`id`", "-c", "line\nline", "größe", "*"]
    told = installed.run(*words).stdout
    assert ast.literal_eval(told) == [str(installed.door), str(installed.program), *words]


def test_in_the_cache_it_knows_which_archive_it_is(installed: Installed) -> None:
    """Also through a link with an odd name, and when it is called by a relative path."""
    installed.run("--version")
    names = ["-c", 'it\'s "odd" $(id)', "größe"]
    for name in names:
        (installed.home / name).symlink_to(installed.program)
    for name in names:
        subprocess.run(
            [f"./{name}", "install-shims", f"shims{name}"],
            cwd=installed.home,
            env=installed.environment(),
            capture_output=True,
            check=True,
        )
        shim = (installed.home / f"shims{name}" / "codex").read_text()
        assert quote(str(installed.home / name)) in shim


@pytest.mark.parametrize("shell", build.SHELLS)
def test_every_shell_opens_the_door_without_a_word(installed: Installed, shell: str) -> None:
    words = [shutil.which(shell) or shell, *(["sh"] if shell == "busybox" else []), str(installed.program), "--version"]
    for _ in range(2):
        done = start(words, installed.environment())
        assert (done.stdout, done.stderr) == (ANSWER, "")
    installed.door.write_text(TRACE)
    assert start(words, installed.environment()).stdout != ANSWER


def test_without_any_python_it_says_what_to_install(installed: Installed, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = installed.run("--version", PATH=str(tmp_path / "empty"))
    assert (done.returncode, done.stdout) == (127, "")
    assert done.stderr.startswith("agentvm needs Python 3.11 or newer: install it")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("variable", ["HOME", "XDG_CACHE_HOME"])
def test_a_cache_in_the_directory_where_one_stands_is_not_entered(installed: Installed, variable: str) -> None:
    """That may be a project, where a VM can put what it likes."""
    installed.run("--version")
    place = installed.home.parent / "project"
    for below in (".cache", ".", "Library/Caches"):
        trap = place / below / installed.door.relative_to(installed.builds.parent.parent)
        trap.parent.mkdir(parents=True)
        trap.write_text("print('trapped')\n")
    for value in ("", ".", "./", "../project"):
        environment = {**installed.environment(), variable: value}
        done = subprocess.run(
            [installed.program, "--version"],
            check=False,
            cwd=place,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert (done.stdout, done.stderr) == (ANSWER, "")


def test_a_door_that_is_somebody_elses_is_not_entered(installed: Installed) -> None:
    installed.run("--version")
    installed.door.unlink()
    # Root's, or if root tests it, nobody's.
    foreign = Path("/bin/sh") if os.geteuid() else installed.home / "foreign"
    if not os.geteuid():
        foreign.write_text("print('foreign')\n")
        os.chown(foreign, 65534, 65534)
    installed.door.symlink_to(foreign)
    assert installed.run("--version").stdout == ANSWER


def test_hands_on_arguments_and_exit_status(installed: Installed) -> None:
    done = installed.start("--no such option")
    assert (done.returncode, done.stdout) == (2, "")
    assert "'--no such option'" in done.stderr


def test_writes_nothing_beside_itself(installed: Installed) -> None:
    place = installed.program.parent
    place.chmod(0o555)
    done = installed.start("--version")
    place.chmod(0o755)
    assert done.stdout == ANSWER
    assert [path.name for path in place.iterdir()] == ["agentvm"]


def test_the_environment_cannot_make_shiv_do_something_else(installed: Installed) -> None:
    done = installed.start("--version", SHIV_INTERPRETER="1", SHIV_ENTRY_POINT="os:abort", SHIV_ROOT="/nonexistent")
    assert done.stdout == ANSWER


@pytest.mark.parametrize("home", ["", "relative", "/", os.devnull + "/home"])
def test_runs_from_the_zip_without_a_home_to_write_to(installed: Installed, home: str) -> None:
    done = installed.start("--version", HOME=home)
    assert (done.stdout, done.stderr) == (ANSWER, "")
    assert not installed.extracted()


def test_runs_from_the_zip_with_no_home_at_all(installed: Installed) -> None:
    done = start([sys.executable, "-I", "-S", installed.program, "--version"], {"PATH": os.environ["PATH"]})
    assert (done.stdout, done.stderr) == (ANSWER, "")


def test_the_cache_directory_may_be_chosen(installed: Installed, tmp_path: Path) -> None:
    assert installed.start("--version", XDG_CACHE_HOME=str(tmp_path / "other")).stdout == ANSWER
    assert list((tmp_path / "other" / "agentvm" / "builds").iterdir())
    assert not installed.extracted()


def test_ten_first_starts_at_once(installed: Installed) -> None:
    command = [sys.executable, "-I", "-S", str(installed.program), "--version"]
    running = [subprocess.Popen(command, env=installed.environment(), stdout=subprocess.PIPE) for _ in range(10)]
    answers = [process.communicate()[0].decode() for process in running]
    assert answers == [ANSWER] * 10
    assert len(installed.extracted()) == 1
    assert is_whole(installed)


@pytest.mark.parametrize("seconds", [0.03, 0.06, 0.09, 0.12, 0.15, 0.18, 0.21, 0.24, 0.3, 0.4])
def test_a_first_start_that_is_killed_leaves_nothing_half_made(installed: Installed, seconds: float) -> None:
    command = [sys.executable, "-I", "-S", str(installed.program), "--version"]
    with subprocess.Popen(command, env=installed.environment(), stdout=subprocess.DEVNULL) as process:
        time.sleep(seconds)
        process.kill()
    assert not installed.extracted() or is_whole(installed)
    assert installed.start("--version").stdout == ANSWER
    assert is_whole(installed)


def test_ctrl_c_while_it_extracts_is_no_traceback(installed: Installed) -> None:
    command = [sys.executable, "-I", "-S", str(installed.program), "--version"]
    with subprocess.Popen(command, env=installed.environment(), stderr=subprocess.PIPE) as process:
        while process.poll() is None and not list(installed.builds.glob("*.tmp")):
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        said = process.communicate()[1]
    assert (process.returncode, said) == (130, b"")
    assert installed.start("--version").stdout == ANSWER


@pytest.mark.parametrize("level", ["", "*"])
def test_a_cache_that_others_can_write_is_not_used(installed: Installed, level: str) -> None:
    installed.start("--version")
    spoil(installed)
    for begin in (installed.start, installed.run):
        assert begin("--version").stdout == "spoilt\n"
    for directory in [installed.builds] if not level else installed.builds.glob("[!.]*"):
        directory.chmod(0o777)
    for begin in (installed.start, installed.run):
        assert begin("--version").stdout == ANSWER


def test_builds_that_nothing_started_for_long_are_dropped_but_the_newest_stay(installed: Installed) -> None:
    installed.builds.mkdir(mode=0o700, parents=True)
    for age in (20, 40, 50, 60):
        build = installed.builds / f"{age}days"
        build.mkdir()
        os.utime(build, (time.time() - age * DAY,) * 2)
    installed.start("--version")
    left = installed.extracted()
    assert len(left) == 3
    assert {"20days", "40days"} < set(left)


def test_a_start_is_a_sign_of_life(installed: Installed) -> None:
    installed.start("--version")
    (name,) = installed.extracted()
    os.utime(installed.builds / name, (time.time() - 29 * DAY,) * 2)
    installed.start("--version")
    assert time.time() - (installed.builds / name).stat().st_mtime < DAY


def test_an_old_process_may_import_after_the_archive_was_replaced(installed: Installed) -> None:
    installed.start("--version")
    (name,) = installed.extracted()
    shutil.copyfile(os.devnull, installed.program)
    code = f"import sys; sys.path[0] = {str(installed.builds / name / 'site-packages')!r}; import agentvm.fake"
    assert start([sys.executable, "-S", "-c", code], installed.environment()).returncode == 0


def spoil(installed: Installed) -> None:
    (name,) = installed.extracted()
    module = installed.builds / name / "site-packages" / "agentvm" / "cli.py"
    module.write_text("def main(argv):\n    print('spoilt')\n    return 0\n")


def list_files(directory: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in directory.rglob("*")}


def is_whole(installed: Installed) -> bool:
    (name,) = installed.extracted()
    with zipfile.ZipFile(installed.program) as file:
        members = [member for member in file.infolist() if member.filename.startswith("site-packages/")]
    return all((installed.builds / name / member.filename).stat().st_size == member.file_size for member in members)
