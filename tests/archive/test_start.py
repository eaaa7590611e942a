"""What the front door does: the first start, the later ones, and the bad ones."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from agentvm import __version__
from tests.archive.conftest import Installed, start

ANSWER = f"agentvm {__version__}\n"
DAY = 24 * 60 * 60


def test_first_start_fills_the_cache_and_the_second_changes_nothing(installed: Installed) -> None:
    assert installed.start("--version").stdout == ANSWER
    before = list_files(installed.builds)
    assert installed.start("--version").stdout == ANSWER
    assert list_files(installed.builds) == before


def test_starts_by_its_own_name(installed: Installed) -> None:
    installed.program.chmod(0o755)
    assert start([installed.program, "--version"], installed.environment()).stdout == ANSWER


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
    assert installed.start("--version").stdout == "spoilt\n"
    for directory in [installed.builds] if not level else installed.builds.glob("[!.]*"):
        directory.chmod(0o777)
    assert installed.start("--version").stdout == ANSWER


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
