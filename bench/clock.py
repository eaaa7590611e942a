"""Measuring by turns: what is compared runs in the same rounds, so that what else the machine does falls on all alike."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

TELLS_TIME = "#!/bin/sh\nexec date +%s%N\n"
"""Stands for ssh where it matters when that is started."""


class Case(NamedTuple):
    """A command as it is measured. Its time ends with it or, if it tells the time (in nanoseconds), when it does that."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    directory: Path | None = None
    tells: bool = False


def find_interpreter() -> str:
    """The interpreter itself: a version manager's stand-in for it, or a virtual environment's, adds time of its own."""
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin:/opt/homebrew/bin")
    return python or os.path.realpath(sys.executable)


def measure(cases: Mapping[str, Case], rounds: int) -> dict[str, list[float]]:
    """Milliseconds, a list for each case; the first round warms up and is not counted."""
    results: dict[str, list[float]] = {name: [] for name in cases}
    for turn in range(rounds + 1):
        for name, case in cases.items():
            spent = spend(case)
            if turn:
                results[name].append(spent)
    return results


def spend(case: Case) -> float:
    """Milliseconds that it takes. It must succeed, or the figure means nothing."""
    begin = time.time_ns()
    done = subprocess.run(
        case.argv,
        check=True,
        env=dict(case.environment),
        cwd=case.directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    end = int(done.stdout) if case.tells else time.time_ns()
    return (end - begin) / 1e6


def ratio(times: Sequence[float], others: Sequence[float]) -> float:
    """The median over the rounds."""
    return statistics.median(one / other for one, other in zip(times, others, strict=True))
