"""What the session script costs in the guest: its CPU time there, against `sh -c true` in the same guest, in one run.

    cd PROJECT && python3 bench/guest.py [ROUNDS] -- PROGRAM…

PROGRAM… starts agentvm (by default `agentvm`); run it in a project whose VM is there and has claude in it. A guest may be
emulated, so the milliseconds there say little: the last column is what the ratio comes to on this machine itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

LOOP = """\
count=0 script=$(cat)
while [ $count -lt "$1" ]; do
    AGENTVM_SESSION=$script /bin/sh -c "$2" >/dev/null 2>&1 </dev/null || exit
    count=$((count + 1))
done
times
"""
"""What a shell's `times` prints last is the CPU time of its children."""
EVAL = 'eval "$AGENTVM_SESSION"'


def main(argv: list[str]) -> None:
    at = argv.index("--") if "--" in argv else len(argv)
    rounds = int(argv[0]) if argv[:at] else 50
    program = argv[at + 1 :] or ["agentvm"]
    scripts = {
        "agentvm shell -- true": capture(program, ["shell", "--", "true"]),
        "agentvm claude": capture(program, ["claude", "--version"]).replace("'claude' '--version'", "true"),
    }
    here = in_sh(["/bin/sh"], rounds, "", "true")
    there = in_guest(program, rounds, "", "true")
    print(f"\n{rounds} rounds; CPU time of one\n")
    print(f"{'':24}{'bytes':>8}{'guest, ms':>12}{'x sh -c true':>14}{'here, ms':>10}")
    print(f"{'sh -c true':24}{'':>8}{there:12.2f}{1:14.1f}{here:10.2f}")
    for name, script in scripts.items():
        cost = in_guest(program, rounds, script, EVAL)
        print(f"{name:24}{len(script):8}{cost:12.2f}{cost / there:14.1f}{cost / there * here:10.2f}")


def capture(program: Sequence[str], words: Sequence[str]) -> str:
    """The session script of a warm run, taken by an ssh that only writes it down. It is run once before, to be warm."""
    subprocess.run([*program, *words], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory(prefix="agentvm-bench-") as scratch:
        ssh, kept = Path(scratch, "ssh"), Path(scratch, "script")
        ssh.write_text(f"#!/bin/sh\nprintf %s \"$AGENTVM_SESSION\" >'{kept}'\n")
        ssh.chmod(0o755)
        environment = {**os.environ, "PATH": f"{scratch}:{os.environ['PATH']}"}
        subprocess.run([*program, *words], env=environment, check=True, stdin=subprocess.DEVNULL)
        return kept.read_text()


def in_guest(program: Sequence[str], rounds: int, script: str, text: str) -> float:
    return in_sh([*program, "shell", "--", "/bin/sh"], rounds, script, text)


def in_sh(shell: Sequence[str], rounds: int, script: str, text: str) -> float:
    """The script may hold secrets, so it comes on standard input. Milliseconds of CPU time, user's and system's, of one round."""
    argv = [*shell, "-c", LOOP, "sh", str(rounds), text]
    done = subprocess.run(argv, check=True, input=script, stdout=subprocess.PIPE, text=True)
    words = done.stdout.splitlines()[-1].split()
    return sum(map(seconds, words)) / rounds * 1000


def seconds(text: str) -> float:
    """From "0m0.123s"."""
    minutes, rest = text.rstrip("s").split("m")
    return int(minutes) * 60 + float(rest)


if __name__ == "__main__":
    main(sys.argv[1:])
