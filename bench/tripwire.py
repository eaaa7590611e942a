"""What the tripwire costs a warm session, start and end together: python3 bench/tripwire.py [ROUNDS].

Each round takes one session with it and one without, on the fake backend, in a repository of 100,000 files, so that what
else the machine does falls on both alike; and one `git status`, which does walk the tree. Figures are medians of the time
that passes and, which a busy machine falsifies less, of the processor's. The second home is full: agents' directories with
as many hooks, commands and plugins as somebody may have. The third is a guest's doing, which fills places up to the bounds.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(os.path.abspath(__file__)).parent.parent
ARCHIVE = ROOT / "dist" / "agentvm.pyz"
FILES, DIRECTORIES = 100_000, 1000


class Spent(NamedTuple):
    """Milliseconds."""

    passed: float
    processor: float

    def show(self) -> str:
        return f"{self.passed:.1f} ({self.processor:.1f})"


def main(argv: list[str]) -> None:
    rounds = int(argv[0]) if argv else 15
    with tempfile.TemporaryDirectory(prefix="agentvm-bench-") as scratch:
        home = Path(scratch).resolve() / "home"
        project = home / "project"
        make_repository(project)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "AGENTVM_BACKEND": "fake",
            "AGENTVM_FAKE_DIR": str(home.parent / "fake"),
            "PYTHONPYCACHEPREFIX": str(home.parent / "cache"),
        }
        print(f"a repository of {FILES} files, {rounds} rounds, medians in ms: passed (processor's)\n")
        print(f"{'':<18}{'without':>18}{'with':>18}{'the tripwire':>18}{'git status':>18}")
        for name, prepare in (("an empty home", nothing), ("a full home", fill), ("a hostile guest", overfill)):
            prepare(home)
            measure(name, environment, project, rounds)


def make_repository(project: Path) -> None:
    for number in range(DIRECTORIES):
        directory = project / f"part-{number // 40}" / f"unit-{number}"
        directory.mkdir(parents=True)
        for file in range(FILES // DIRECTORIES):
            (directory / f"file-{file}.txt").write_text(f"{number} {file}\n")
    for words in (("init", "--quiet"), ("add", "--all")):
        subprocess.run(["git", "-C", str(project), *words], check=True)


def nothing(home: Path) -> None:
    """As it is after the first session."""


def fill(home: Path) -> None:
    put(home, (f".claude/hooks/hook-{number}.sh" for number in range(20)), 2000)
    put(home, (f".claude/commands/set-{number % 5}/command-{number}.md" for number in range(60)), 4000)
    put(home, (f".claude/skills/skill-{number}/SKILL.md" for number in range(60)), 8000)
    put(home, (f".claude/plugins/cache/market/plugin-{number}/1.0.0/hooks/hooks.json" for number in range(30)), 1000)
    put(home, (f".config/opencode/plugin/plugin-{number}.ts" for number in range(10)), 10_000)
    put(home, (f"project/.git/modules/module-{number}/config" for number in range(50)), 400)


def overfill(home: Path) -> None:
    put(home, (f"project/.git/hooks/hook-{number}" for number in range(990)), 20_000)
    put(home, (f".claude/hooks/hook-{number}" for number in range(990)), 20_000)
    put(home, (f"project/.git/modules/m-{number}/hooks/h-{hook}" for number in range(200) for hook in range(30)), 10)


def put(home: Path, names: Iterable[str], size: int) -> None:
    for name in names:
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"# a line of it\n" * (size // 15))


def measure(name: str, environment: Mapping[str, str], project: Path, rounds: int) -> None:
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin:/opt/homebrew/bin") or sys.executable
    command = [python, "-I", "-S", str(ARCHIVE), "--quiet", "shell", "--", "true"]
    cases: tuple[Callable[[], Spent], ...] = (
        lambda: spend(command, {**environment, "AGENTVM_TRIPWIRE": "0"}, project),
        lambda: spend(command, environment, project),
        lambda: spend(["git", "status", "--porcelain"], environment, project),
    )
    for case in cases:
        case()
    taken = [tuple(case() for case in cases) for _ in range(rounds)]
    without, with_it, git = (median(column) for column in zip(*taken, strict=True))
    cost = median([Spent(b.passed - a.passed, b.processor - a.processor) for a, b, _ in taken])
    print(f"{name:<18}" + "".join(f"{spent.show():>18}" for spent in (without, with_it, cost, git)))


def median(spent: Sequence[Spent]) -> Spent:
    return Spent(*(statistics.median(column) for column in zip(*spent, strict=True)))


def spend(command: Sequence[str], environment: Mapping[str, str], directory: Path) -> Spent:
    """What a command takes. It must succeed, or the figure means nothing."""
    begin = time.perf_counter()
    before = processor_time()
    subprocess.run(
        command, check=True, env=dict(environment), cwd=directory, stdin=subprocess.DEVNULL, capture_output=True
    )
    return Spent((time.perf_counter() - begin) * 1000, (processor_time() - before) * 1000)


def processor_time() -> float:
    """Seconds that all children took that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main(sys.argv[1:])
