"""How long a warm session takes, against raw ssh and `limactl shell` on the same VM, in one run.

    cd PROJECT && python3 bench/sessions.py [ROUNDS] -- PROGRAM…

PROGRAM… starts agentvm (by default `agentvm`); run it in a project whose VM is there. Each round takes one of each, so
that what else the machine does falls on all alike. The first row is what agentvm itself takes before it starts ssh.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

BARE, LIMACTL = "bare Python", "limactl shell"
Case = tuple[Sequence[str], Mapping[str, str]]


def main(argv: list[str]) -> None:
    at = argv.index("--") if "--" in argv else len(argv)
    rounds = int(argv[0]) if argv[:at] else 15
    program = argv[at + 1 :] or ["agentvm"]
    subprocess.run([*program, "shell", "--", "true"], check=True)
    name = json.loads(subprocess.run([*program, "status", "--json"], check=True, capture_output=True).stdout)[
        "instance"
    ]
    with tempfile.TemporaryDirectory(prefix="agentvm-bench-") as scratch:
        before = measure_until_ssh(program, Path(scratch), rounds)
        results = measure(cases(program, name), rounds)
    show({"agentvm, until ssh starts": before, **results}, rounds)


def cases(program: Sequence[str], name: str) -> dict[str, Case]:
    home = Path(os.path.realpath(os.environ.get("LIMA_HOME") or os.path.expanduser("~/.lima")))
    shared = ["-o", "LogLevel=ERROR", "-o", f"ControlPath={home / name / 'avm.sock'}", "-o", "ControlMaster=no"]
    raw = ["ssh", "-F", str(home / name / "ssh.config"), *shared, f"lima-{name}", "true"]
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin:/opt/homebrew/bin") or sys.executable
    return {
        BARE: ([python, "-I", "-S", "-c", "pass"], os.environ),
        "raw ssh, shared connection": (raw, os.environ),
        LIMACTL: (["limactl", "shell", "--workdir", "/", name, "true"], os.environ),
        "agentvm shell -- true": ([*program, "shell", "--", "true"], os.environ),
    }


def measure_until_ssh(program: Sequence[str], scratch: Path, rounds: int) -> list[float]:
    """Milliseconds from the start of agentvm to that of its ssh, which is here a script that tells the time.

    What the script itself takes until it tells is measured too, in the same rounds, and its median taken away.
    """
    ssh = scratch / "ssh"
    ssh.write_text("#!/bin/sh\nexec date +%s%N\n")
    ssh.chmod(0o755)
    environment = {**os.environ, "PATH": f"{scratch}:{os.environ['PATH']}"}
    pairs = [(tell(["ssh"], environment), tell([*program, "shell", "--", "true"], environment)) for _ in range(rounds)]
    own = statistics.median(script for script, _ in pairs)
    return [whole - own for _, whole in pairs]


def tell(argv: Sequence[str], environment: Mapping[str, str]) -> float:
    """Milliseconds until a program tells the time (in nanoseconds)."""
    start = time.time_ns()
    said = subprocess.run(argv, env=dict(environment), check=True, stdin=subprocess.DEVNULL, capture_output=True).stdout
    return (int(said) - start) / 1e6


def measure(rows: Mapping[str, Case], rounds: int) -> dict[str, list[float]]:
    """Milliseconds, a list for each row; the first round warms up and is not counted."""
    results: dict[str, list[float]] = {name: [] for name in rows}
    for turn in range(rounds + 1):
        for name, (argv, environment) in rows.items():
            start = time.perf_counter()
            subprocess.run(argv, env=dict(environment), check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            if turn:
                results[name].append((time.perf_counter() - start) * 1000)
    return results


def show(results: Mapping[str, list[float]], rounds: int) -> None:
    bare, limactl = (statistics.median(results[name]) for name in (BARE, LIMACTL))
    print(f"{rounds} rounds, medians\n")
    print(f"{'':<34}{'ms':>8}{'x bare Python':>16}{'x limactl shell':>17}")
    for name, times in results.items():
        median = statistics.median(times)
        print(f"{name:<34}{median:>8.1f}{median / bare:>16.2f}{median / limactl:>17.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
