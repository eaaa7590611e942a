"""A computer for each plan."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.world import World
from tests.faults.scenes import SCENES, Computer, Scene, move_state

MEMORY = "/dev/shm"
"""Where there is one: agentvm waits for the disk at each small file that it writes, and here are many thousands."""


@pytest.fixture(scope="module", params=SCENES, ids=[scene.plan.replace(" ", "-") for scene in SCENES])
def computer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Computer]:
    scene = request.param
    assert isinstance(scene, Scene)
    directory = tmp_path_factory.mktemp("computer")
    (directory / "world").mkdir()
    world = World(directory / "world", directory / "cache")
    with tempfile.TemporaryDirectory(dir=MEMORY if os.path.isdir(MEMORY) else None) as fast:
        move_state(world, Path(fast).resolve() / "world")
        yield Computer(world, scene)
        world.close()
