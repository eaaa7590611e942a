"""What agentvm adds to Lima's own clone and start when a project gets its VM: python3 build.py bench first_run [ROUNDS].

A boot takes a minute and more, and no two of them the same time, so both are measured in one: agentvm is led to a limactl
that notes when each of its commands begins and ends. What is not within its clone and its start is what agentvm adds: its
own work, limactl's other commands, the shared connection, the mounts' check, and the session, which is `true`.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path
from typing import NamedTuple

from machine import computer

from tests.smoke.computer import Computer

NOTES = """\
#!/bin/sh
begin=$(date +%s%N)
'{limactl}' "$@"
status=$?
echo "$begin $(date +%s%N) $*" >>'{log}'
exit $status
"""
COUNTED = ("clone", "start")


class Spent(NamedTuple):
    """Seconds."""

    lima: float
    """Within `limactl clone` and `limactl start`."""
    all: float

    @property
    def added(self) -> float:
        """In percent."""
        return (self.all / self.lima - 1) * 100


def main(argv: list[str]) -> None:
    rounds = int(argv[0]) if argv else 3
    with computer() as made:
        spent = [first_run(made, f"bench-{turn}") for turn in range(rounds)]
    print(f"{'':<12}{'clone and start, s':>20}{'first run, s':>16}{'added, %':>12}")
    for turn, one in enumerate(spent):
        print(f"{f'round {turn + 1}':<12}{one.lima:>20.1f}{one.all:>16.1f}{one.added:>12.1f}")
    print(f"{'median':<12}{'':>36}{statistics.median(one.added for one in spent):>12.1f}")


def first_run(made: Computer, name: str) -> Spent:
    project, log = made.project(name), made.directory / f"{name}.log"
    limactl = made.directory / f"{name}-limactl"
    limactl.write_text(NOTES.format(limactl=made.limactl, log=log))
    limactl.chmod(0o755)
    begin = time.monotonic()
    made.ok(project, "shell", "--", "true", AGENTVM_LIMACTL=str(limactl))
    whole = time.monotonic() - begin
    made.ok(project, "rm", "--force")
    return Spent(sum(map(seconds, read(log))), whole)


def read(log: Path) -> list[str]:
    """The lines of the commands that count."""
    lines = log.read_text().splitlines()
    print(
        "\n".join(f"{seconds(line):8.2f} s  limactl {line.split(' ', 2)[2]}"[:100] for line in lines), file=sys.stderr
    )
    return [line for line in lines if any(word in COUNTED for word in line.split()[2:])]


def seconds(line: str) -> float:
    begin, end, _ = line.split(" ", 2)
    return (int(end) - int(begin)) / 1e9


if __name__ == "__main__":
    main(sys.argv[1:])
