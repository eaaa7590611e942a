"""How long a warm session takes, against what else runs a program in the same VM: python3 build.py bench sessions.

    python3 build.py bench sessions [ROUNDS] [--peer REPOSITORY]

Each round takes one of each, so that what else the machine does falls on all alike. REPOSITORY is where git can clone
https://github.com/sylvinus/agent-vm from: its script is run as it is, and led to this VM and this project.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from clock import TELLS_TIME, Case, find_interpreter, measure
from machine import computer

from tests.smoke.computer import Computer, program

BARE, SHARED, LIMACTL = "bare Python", "ssh, shared connection", "limactl shell"
SSH, UNTIL_SSH = "the stand-in for ssh alone", "agentvm, until ssh starts"
PEER = """\
source "$1/agent-vm.sh"
AGENT_VM_TEMPLATE=$2 AGENT_VM_STATE_DIR=$3
_agent_vm_name() { echo "$AGENT_VM_TEMPLATE"; }
agent-vm run true"""
"""Its own words for a session, with our VM in place of the one that it would make."""


def main(argv: list[str]) -> None:
    reader = argparse.ArgumentParser()
    reader.add_argument("rounds", nargs="?", type=int, default=15)
    reader.add_argument("--peer", metavar="REPOSITORY")
    options = reader.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="agentvm-bench-") as scratch, ExitStack() as opened:
        if options.peer:
            # First, since a VM takes minutes.
            subprocess.run(["git", "clone", "--quiet", options.peer, scratch], check=True)
        made = opened.enter_context(computer())
        project = made.project("bench")
        made.ok(project, "shell", "--", "true")
        name = str(made.status(project)["instance"])
        chosen = cases(made, project, name)
        if options.peer:
            chosen["sylvinus/agent-vm run true"] = peer(made, project, name, scratch)
        results = measure(chosen, options.rounds)
    show(results, options.rounds)


def cases(made: Computer, project: Path, name: str) -> dict[str, Case]:
    environment, directory = made.environment, made.lima_home / name
    config = ["ssh", "-F", str(directory / "ssh.config"), "-o", "LogLevel=ERROR", "-o", "ControlMaster=no"]
    stands_in = {**environment, "PATH": f"{stand_in(made.directory)}:{environment['PATH']}"}
    session = [*program(), "shell", "--", "true"]
    return {
        BARE: Case([find_interpreter(), "-I", "-S", "-c", "pass"], environment, project),
        SSH: Case(["ssh"], stands_in, project, tells=True),
        UNTIL_SSH: Case(session, stands_in, project, tells=True),
        SHARED: Case([*config, "-S", str(directory / "avm.sock"), f"lima-{name}", "true"], environment, project),
        "ssh, a connection of its own": Case([*config, "-S", "none", f"lima-{name}", "true"], environment, project),
        LIMACTL: Case([made.limactl, "shell", "--workdir", str(project), name, "true"], environment, project),
        "agentvm shell -- true": Case(session, environment, project),
    }


def stand_in(directory: Path) -> Path:
    """A directory for the PATH."""
    programs = directory / "stand-in"
    programs.mkdir()
    ssh = programs / "ssh"
    ssh.write_text(TELLS_TIME)
    ssh.chmod(0o755)
    return programs


def peer(made: Computer, project: Path, name: str, checkout: str) -> Case:
    state = made.directory / "peer-state"
    state.mkdir()
    words = ["bash", "-c", PEER, "bash", checkout, name, str(state)]
    return Case(words, {**os.environ, "LIMA_HOME": str(made.lima_home)}, project)


def show(results: dict[str, list[float]], rounds: int) -> None:
    medians = {name: statistics.median(times) for name, times in results.items()}
    medians[UNTIL_SSH] -= medians.pop(SSH)
    print(f"{rounds} rounds, medians\n")
    print(f"{'':<32}{'ms':>8}{'x bare Python':>16}{'x shared ssh':>16}{'x limactl shell':>18}")
    for name, median in medians.items():
        ratios = (median / medians[other] for other in (BARE, SHARED, LIMACTL))
        print(f"{name:<32}{median:>8.1f}{next(ratios):>16.2f}{next(ratios):>16.2f}{next(ratios):>18.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
