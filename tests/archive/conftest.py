"""The archive as a process: what it is, and how a test starts it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

import build

ROOT = Path(build.__file__).parent
Version = tuple[int, int]


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive that `build.py test` has just made, else one that is made now."""
    made = os.environ.get("AGENTVM_TEST_ARCHIVE")
    if made:
        return Path(made)
    target = tmp_path_factory.mktemp("dist") / "agentvm.pyz"
    build.make_archive(build.make_environment(), ROOT, target)
    return target


class Installed(NamedTuple):
    """A copy of the archive, with a home of its own."""

    program: Path
    home: Path

    @property
    def builds(self) -> Path:
        below = "Library/Caches" if sys.platform == "darwin" else ".cache"
        return self.home / below / "agentvm" / "builds"

    def environment(self, **variables: str) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.home), **variables}

    @property
    def door(self) -> Path:
        """What the archive's own lines start, once the cache has it."""
        (name,) = self.extracted()
        return self.builds / name / "site-packages" / "agentvm" / "__main__.py"

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Start it by its name, as its user does."""
        return start([self.program, *arguments], self.environment(**variables))

    def start(
        self, *arguments: str, python: str = sys.executable, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Give it to a Python."""
        return start([python, "-I", "-S", self.program, *arguments], self.environment(**variables))

    def extracted(self) -> list[str]:
        """The builds in the cache that look finished."""
        return [path.name for path in self.builds.iterdir() if path.name.isalnum()] if self.builds.exists() else []


@pytest.fixture
def installed(archive: Path, tmp_path: Path) -> Installed:
    place = tmp_path / "bin"
    place.mkdir()
    home = tmp_path / "home"
    home.mkdir()
    return Installed(Path(shutil.copy(archive, place / "agentvm")), home)


def start(command: Sequence[str | Path], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="session")
def pythons() -> dict[Version, str]:
    """Pythons to test with, by version: those on the PATH, and the interpreters that AGENTVM_TEST_PYTHONS lists."""
    listed = os.environ.get("AGENTVM_TEST_PYTHONS", "").split(os.pathsep)
    names = [sys.executable, *listed, "python3", *(f"python3.{minor}" for minor in range(6, 20))]
    candidates = [shutil.which(name) for name in names]
    found: dict[Version, str] = {}
    for python in filter(None, candidates):
        answer = start(
            [python, "-I", "-S", "-c", "import sys; print(*sys.version_info[:2])"], {"PATH": os.environ["PATH"]}
        )
        # A version manager has stand-ins on the PATH also for versions that aren't chosen.
        if answer.returncode == 0:
            major, minor = map(int, answer.stdout.split())
            found.setdefault((major, minor), python)
    return found
