"""How long the archive takes to start, against bare Python: python3 build.py bench startup [ROUNDS].

Each figure is a median over the rounds, with its ratio to bare Python in the same round, and beside it the least of all, with
its ratio to the least of bare Python: what a busy machine falsifies less. "Until ssh starts" is a warm `agentvm shell -- true`, with a stand-in for Lima's
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
CLAUDE = "agentvm claude, until ssh starts"
TELLING = (UNTIL_SSH, CARELESS, CLAUDE)
"""They end with a stand-in for ssh, whose own time is taken away."""
FIRST = "agentvm --version, first start"


def main(argv: list[str]) -> None:
    rounds = int(argv[0]) if argv else 40
    python = find_interpreter()
    # The archive's own lines look for it there.
    os.environ["PATH"] = f"{os.path.dirname(python)}:{os.environ['PATH']}"
    agentvm = [str(ARCHIVE)]
    with tempfile.TemporaryDirectory(prefix="agentvm-bench-") as scratch:
        make_directories(places := [Path(scratch, name) for name in ("warm", "first", "read-only")])
        with warm(agentvm, places[0], TELLS_TIME) as known:
            results = measure(cases(python, agentvm, known, places[2]), rounds)
        results[FIRST] = [first_start(agentvm, known, places[1] / str(turn)) for turn in range(rounds)]
    show(results, f"{ARCHIVE.name} on {python}, {rounds} rounds")


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
        "python3 agentvm.pyz --version": Case([python, "-I", "-S", *agentvm, "--version"], environment, project),
        "agentvm --help": Case([*agentvm, "--help"], environment, project),
        "agentvm completion bash": Case([*agentvm, "completion", "bash"], environment, project),
        "agentvm complete-instances": Case([*agentvm, "complete-instances"], environment, project),
        SSH: Case(["ssh"], environment, project, tells=True),
        UNTIL_SSH: Case(session, environment, project, tells=True),
        CARELESS: Case(session, {**environment, "AGENTVM_TRIPWIRE": "0"}, project, tells=True),
        CLAUDE: Case([*agentvm, "claude"], environment, project, tells=True),
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
    alone, bare = results.pop(SSH), results[BARE]
    print(f"{title}\n\n{'start':<44}{'median, ms':>12}{'x bare':>8}{'least, ms':>12}{'x bare':>8}")
    for name, times in results.items():
        median, least = (0.0, 0.0) if name not in TELLING else (statistics.median(alone), min(alone))
        usual, quickest = ratio([time - median for time in times], bare), (min(times) - least) / min(bare)
        print(
            f"{name:<44}{statistics.median(times) - median:>12.1f}{usual:>8.2f}{min(times) - least:>12.1f}{quickest:>8.2f}"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
