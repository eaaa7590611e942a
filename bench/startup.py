"""How long the archive takes to start, against bare Python: python3 bench/startup.py [PAIRS].

Each start of the archive is paired with one of bare Python right before it, in one run, so that what else the machine
does falls on both alike. The ratio is the median over the pairs.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ARCHIVE = Path(os.path.abspath(__file__)).parent.parent / "dist" / "agentvm.pyz"


class Row(NamedTuple):
    name: str
    milliseconds: float
    ratio: float


def main(argv: list[str]) -> None:
    pairs = int(argv[0]) if argv else 40
    python = find_interpreter()
    with tempfile.TemporaryDirectory(prefix="agentvm-bench-") as scratch:
        rows = measure_all(python, Path(scratch), pairs)
    print(f"{ARCHIVE.name} on {python}, {pairs} pairs, medians\n")
    print(f"{'start':<34}{'ms':>8}{'x bare Python':>16}")
    for row in rows:
        print(f"{row.name:<34}{row.milliseconds:>8.1f}{row.ratio:>16.2f}")


def find_interpreter() -> str:
    """The interpreter itself: a version manager's stand-in for it, or a virtual environment's, adds time of its own."""
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin:/opt/homebrew/bin")
    return python or os.path.realpath(sys.executable)


def measure_all(python: str, scratch: Path, pairs: int) -> list[Row]:
    home, project = scratch / "home", scratch / "home" / "project"
    project.mkdir(parents=True)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "AGENTVM_BACKEND": "fake",
        "AGENTVM_FAKE_DIR": str(scratch / "fake"),
    }
    bare = [python, "-I", "-S", "-c", "pass"]
    agentvm = [python, "-I", "-S", str(ARCHIVE)]
    # Makes the one VM whose name a completion then tells.
    spend([*agentvm, "shell", "--", "true"], environment, project)
    cases = {
        "agentvm --version": ([*agentvm, "--version"], environment),
        "agentvm --help": ([*agentvm, "--help"], environment),
        "agentvm completion bash": ([*agentvm, "completion", "bash"], environment),
        "agentvm complete-instances": ([*agentvm, "complete-instances"], environment),
        "agentvm shell -- true (fake, warm)": ([*agentvm, "shell", "--", "true"], environment),
        "agentvm --version, no cache": ([*agentvm, "--version"], {**environment, "HOME": os.devnull}),
    }
    return [measure(name, bare, command, variables, project, pairs) for name, (command, variables) in cases.items()]


def measure(
    name: str, bare: Sequence[str], command: Sequence[str], environment: Mapping[str, str], directory: Path, pairs: int
) -> Row:
    spend(command, environment, directory)
    taken = [(spend(bare, environment, directory), spend(command, environment, directory)) for _ in range(pairs)]
    ratio = statistics.median(second / first for first, second in taken)
    return Row(name, statistics.median(second for _, second in taken) * 1000, ratio)


def spend(command: Sequence[str], environment: Mapping[str, str], directory: Path) -> float:
    """Seconds that a command takes. It must succeed, or the figure means nothing."""
    begin = time.perf_counter()
    subprocess.run(
        command,
        check=True,
        env=environment,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - begin


if __name__ == "__main__":
    main(sys.argv[1:])
