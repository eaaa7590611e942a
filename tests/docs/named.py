"""Tests that a page of the documentation names, as "cli/test_home.py::test_name" or with an id in brackets."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.agents.machines import SWITCH

ROOT = Path(__file__).parents[2]


def collect(names: Iterable[str]) -> set[str]:
    """What pytest itself finds in the files of these tests, by the same kind of names."""
    files = sorted({f"tests/{name.partition('::')[0]}" for name in names})
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *files],
        cwd=ROOT,
        # Without it those with the real agents are not collected at all.
        env=os.environ | {SWITCH: "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    return {line.removeprefix("tests/") for line in done.stdout.splitlines() if line.startswith("tests/")}


def missing(names: Iterable[str], collected: set[str]) -> list[str]:
    """Those that are not there, neither as they are nor with ids behind them."""
    return [name for name in names if name not in collected and not any(k.startswith(f"{name}[") for k in collected)]
