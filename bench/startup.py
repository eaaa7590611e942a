"""How long the archive takes to start, against bare Python: python3 build.py bench startup [ROUNDS].

The ratio is the median over the rounds. "Until ssh starts" is a warm `agentvm shell -- true`, with a stand-in for Lima's
instance and one for ssh that tells the time; what the latter takes until it tells is taken away.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from clock import TELLS_TIME, Case, find_interpreter, measure, ratio, spend
from standin import Warm, warm

ARCHIVE = Path(os.path.abspath(__file__)).parent.parent / "dist" / "agentvm.pyz"
BARE, SSH = "bare Python", "the stand-in for ssh alone"
UNTIL_SSH, CARELESS = "agentvm shell -- true, until ssh starts", "the same without the tripwire"
FIRST = "agentvm --version, first start"


def main(argv: list[str]) -> None:
    rounds = int(argv[0]) if argv else 40
    python = find_interpreter()
    agentvm = [python, "-I", "-S", str(ARCHIVE)]
    with tempfile.TemporaryDirectory(prefix="agentvm-bench-") as scratch:
        make_directories(places := [Path(scratch, name) for name in ("warm", "first", "read-only")])
        with warm(agentvm, places[0], TELLS_TIME) as known:
            results = measure(cases(python, agentvm, known, places[2]), rounds)
        results[FIRST] = [first_start(agentvm, known, places[1] / str(turn)) for turn in range(rounds)]
    show(results, f"{ARCHIVE.name} on {python}, {rounds} rounds, medians")


def make_directories(places: Sequence[Path]) -> None:
    for place in places:
        place.mkdir()


def cases(python: str, agentvm: Sequence[str], known: Warm, read_only: Path) -> dict[str, Case]:
    environment, project = known.environment, known.project
    fake = {**environment, "AGENTVM_BACKEND": "fake", "AGENTVM_FAKE_DIR": str(known.project.parent.parent / "fake")}
    session = [*agentvm, "shell", "--", "true"]
    return {
        BARE: Case([python, "-I", "-S", "-c", "pass"], environment, project),
        "agentvm --version": Case([*agentvm, "--version"], environment, project),
        "agentvm --help": Case([*agentvm, "--help"], environment, project),
        "agentvm completion bash": Case([*agentvm, "completion", "bash"], environment, project),
        "agentvm complete-instances": Case([*agentvm, "complete-instances"], environment, project),
        SSH: Case(["ssh"], environment, project, tells=True),
        UNTIL_SSH: Case(session, environment, project, tells=True),
        CARELESS: Case(session, {**environment, "AGENTVM_TRIPWIRE": "0"}, project, tells=True),
        "agentvm claude, until ssh starts": Case([*agentvm, "claude"], environment, project, tells=True),
        "agentvm shell -- true, fake, to its end": Case(session, fake, project),
        "the same without the tripwire, fake": Case(session, {**fake, "AGENTVM_TRIPWIRE": "0"}, project),
        "agentvm --version, read-only cache": Case([*agentvm, "--version"], filled(agentvm, known, read_only), project),
        "agentvm --version, no cache": Case([*agentvm, "--version"], {**environment, "HOME": os.devnull}, project),
    }


def filled(agentvm: Sequence[str], known: Warm, cache: Path) -> Mapping[str, str]:
    """An environment with a cache that has the build and takes nothing more."""
    environment = {**known.environment, "XDG_CACHE_HOME": str(cache)}
    spend(Case([*agentvm, "--version"], environment))
    for directory, _, _ in os.walk(cache, topdown=False):
        os.chmod(directory, 0o555)
    return environment


def first_start(agentvm: Sequence[str], known: Warm, cache: Path) -> float:
    cache.mkdir()
    return spend(Case([*agentvm, "--version"], {**known.environment, "XDG_CACHE_HOME": str(cache)}, known.project))


def show(results: dict[str, list[float]], title: str) -> None:
    before = statistics.median(results.pop(SSH))
    bare = results[BARE]
    print(f"{title}\n\n{'start':<44}{'ms':>8}{'x bare Python':>16}")
    for name, times in results.items():
        spent = [one - before for one in times] if name.endswith("ssh starts") or name == CARELESS else times
        print(f"{name:<44}{statistics.median(spent):>8.1f}{ratio(spent, bare):>16.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
