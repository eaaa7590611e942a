"""build.py as a command."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile

import build
from tests.archive.conftest import ROOT


def call(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != build.SMOKE_SWITCH}
    command = [sys.executable, str(ROOT / "build.py"), *arguments]
    return subprocess.run(command, check=False, env=environment, capture_output=True, text=True)


def test_the_smoke_suite_says_that_it_was_skipped_and_why() -> None:
    done = call("smoke")
    assert done.returncode == 0
    assert done.stdout.startswith("Skipped: ")
    assert build.SMOKE_SWITCH in done.stdout


def test_an_unknown_command_is_answered_with_those_that_there_are() -> None:
    done = call("tset")
    assert (done.returncode, done.stdout) == (1, "")
    assert "'tset'" in done.stderr
    assert "test, smoke, try" in done.stderr


def test_arguments_that_mean_nothing_are_refused_before_anything_is_removed() -> None:
    done = call("clean", "everything")
    assert done.returncode == 1
    assert "'everything'" in done.stderr


def test_the_lab_gets_the_checkout_without_what_was_made_in_it() -> None:
    with build.packed_checkout() as file, tarfile.open(fileobj=file) as archive:
        names = archive.getnames()
    assert {"./build.py", "./src/agentvm/__main__.py", "./tests/lab/image.sh"} < set(names)
    assert not [name for name in names if "__pycache__" in name or name.startswith(("./.git/", "./.venv", "./dist"))]
