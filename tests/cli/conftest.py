"""A computer for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.world import World


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def world(tmp_path: Path, cache: Path) -> Iterator[World]:
    computer = World(tmp_path, cache)
    yield computer
    computer.close()


@pytest.fixture
def ready(world: World) -> World:
    """A computer whose base and project instance are there."""
    world.ok("shell", "--", "true")
    return world
