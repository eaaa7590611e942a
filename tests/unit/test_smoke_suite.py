"""The smoke suite takes an hour, so what keeps its stages from being set up at all is found here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.smoke.computer import SWITCH

ROOT = Path(__file__).parents[2]


def test_each_stage_finds_what_it_asks_for() -> None:
    """pytest looks at scopes and names, and runs nothing."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--setup-plan",
            "tests/smoke",
            "tests/contract",
        ],
        cwd=ROOT,
        env={**os.environ, SWITCH: "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
