"""Packaged files are the same from a source tree, from the extracted cache and straight from the zip."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from agentvm import resources
from tests.archive.conftest import ROOT, Installed, start

QUESTION = """
import json, sys
sys.path[0] = sys.argv[1]
from agentvm import resources
names = {place: resources.names(place) for place in sys.argv[2:]}
print(json.dumps({f"{place}/{name}": resources.read(f"{place}/{name}").hex() for place in names for name in names[place]}))
"""
PLACES = ("shims", "manifests/base", "manifests/base/scripts", "manifests/guest")


@pytest.fixture(params=["source", "cache", "zip"])
def modules(request: pytest.FixtureRequest, installed: Installed) -> Path:
    """A directory to import agentvm from."""
    installed.start("--version")
    (name,) = installed.extracted()
    return {
        "source": ROOT / "src",
        "cache": installed.builds / name / "site-packages",
        "zip": installed.program / "site-packages",
    }[request.param]


def test_the_same_files_with_the_same_content(modules: Path, installed: Installed) -> None:
    done = start([sys.executable, "-S", "-c", QUESTION, modules, *PLACES], installed.environment())
    wanted = {
        str(path.relative_to(ROOT)): path.read_bytes().hex()
        for place in PLACES
        for path in (ROOT / place).iterdir()
        if path.is_file()
    }
    assert json.loads(done.stdout) == wanted


def test_a_directory_that_is_not_there(modules: Path, installed: Installed) -> None:
    done = start([sys.executable, "-S", "-c", QUESTION, modules, "nonsense"], installed.environment())
    assert done.stderr.splitlines()[-1].startswith("FileNotFoundError")


def test_the_program_of_a_source_tree_starts(installed: Installed) -> None:
    done = start([resources.program(), "--version"], installed.environment())
    assert done.stdout.startswith("agentvm "), done.stderr


@pytest.mark.parametrize("home", ["", "own"])
def test_the_program_of_the_archive_is_the_archive(installed: Installed, home: str) -> None:
    """Seen by the shims that it writes, from the cache and from the zip."""
    target = installed.home / "shims"
    done = installed.start("install-shims", str(target), HOME=str(installed.home) if home else "/")
    assert done.returncode == 0, done.stderr
    assert str(installed.program) in (target / "codex").read_text()
