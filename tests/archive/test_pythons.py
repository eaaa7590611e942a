"""Other Pythons: those that are too old, those that are found instead, and those that build."""

from __future__ import annotations

import ast
import os
import shutil
import sys
from pathlib import Path

import pytest

import build
from agentvm.first_start import find_python
from tests.archive.conftest import ROOT, Installed, Version, start

OLDEST = (3, 6)
ENOUGH = (3, 11)


@pytest.mark.parametrize(
    "name", ["build.py", *(f"src/agentvm/{name}.py" for name in ("__main__", "first_start", "__init__"))]
)
def test_what_old_pythons_read_has_their_syntax(name: str) -> None:
    ast.parse((ROOT / name).read_text(), feature_version=OLDEST)


def test_every_python_runs_the_archive(installed: Installed, pythons: dict[Version, str]) -> None:
    """The old ones by finding a newer one on the PATH."""
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    answers = {version: installed.start("--version", python=python, PATH=path) for version, python in pythons.items()}
    failed = {version: answer for version, answer in answers.items() if not answer.stdout.startswith("agentvm ")}
    assert not failed


def test_an_old_python_alone_says_what_to_install(installed: Installed, pythons: dict[Version, str]) -> None:
    elsewhere = find_python(["/opt/homebrew/bin", "/usr/local/bin"])
    for version, python in pythons.items():
        if version < ENOUGH and not elsewhere:
            done = installed.start("--version", python=python, PATH="/nonexistent")
            assert (done.returncode, done.stdout) == (1, "")
            assert done.stderr.startswith("agentvm needs Python 3.11 or newer, ")
            assert done.stderr.count("\n") == 1


def test_an_old_python_gets_build_py_going(pythons: dict[Version, str]) -> None:
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    for python in pythons.values():
        done = start([python, ROOT / "build.py", "--help"], {"PATH": path})
        assert done.stdout.startswith("Builds, tests and tries agentvm"), done.stderr


def test_a_python_that_does_not_work_is_passed_over(tmp_path: Path) -> None:
    """As pyenv's stand-ins for the versions that aren't chosen."""
    broken, good = tmp_path / "broken", tmp_path / "good"
    broken.mkdir()
    good.mkdir()
    stand_in = broken / "python3.13"
    stand_in.write_text("#!/bin/sh\necho 'not chosen' >&2\nexit 127\n")
    stand_in.chmod(0o755)
    (good / "python3").symlink_to(sys.executable)
    assert find_python([str(broken)]) == ""
    assert find_python([str(broken), str(good)]) == str(good / "python3")


def test_the_same_bytes_wherever_it_is_built(tmp_path: Path, pythons: dict[Version, str]) -> None:
    """In directories of other names, with other umasks, by other Pythons."""
    tools = build.make_environment()
    others = [
        build.make_environment(tmp_path / f"tools{version[1]}", ("build",), python)
        for version, python in pythons.items()
        if version >= ENOUGH and version != sys.version_info[:2]
    ]
    checkout = copy_checkout(ROOT, tmp_path / "checkout", 0o022)
    wanted = build_in(checkout, tools)
    for number, python in enumerate([tools, *others]):
        again = copy_checkout(checkout, tmp_path / f"elsewhere{number}", 0o077 if number % 2 else 0o002)
        assert build_in(again, python) == wanted, python


def build_in(checkout: Path, python: Path) -> bytes:
    build.make_archive(python, checkout, checkout / "dist" / "agentvm.pyz")
    return (checkout / "dist" / "agentvm.pyz").read_bytes()


def copy_checkout(source: Path, target: Path, mask: int) -> Path:
    """What the archive is made of, with the modes that this umask gives."""
    before = os.umask(mask)
    try:
        target.mkdir()
        for name in ("src", "manifests", "shims", "packaging"):
            shutil.copytree(source / name, target / name, copy_function=shutil.copyfile)
        for name in ("pyproject.toml", "README.md", ".gitignore"):
            shutil.copyfile(source / name, target / name)
    finally:
        os.umask(before)
    return target
