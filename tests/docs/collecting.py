"""What pytest finds in the files that a page of the documentation names."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.agents.machines import SWITCH

ROOT = Path(__file__).parents[2]


def collect(tests: Iterable[str]) -> set[str]:
    """All tests in the files of these, by the names that pages give them: below `tests/`."""
    files = sorted({f"tests/{test.partition('::')[0]}" for test in tests})
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


def is_there(name: str, collected: set[str]) -> bool:
    return name in collected or any(known.startswith(f"{name}[") for known in collected)
