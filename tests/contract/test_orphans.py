"""What lets a backend of programs keep the contract after kill -9: it waits for the programs that live on."""

from __future__ import annotations

import os
from pathlib import Path

from agentvm import process
from agentvm.files import hold
from tests.contract.children import call_and_kill


def test_a_lock_is_held_as_long_as_the_program_lives(tmp_path: Path) -> None:
    lock, trace = str(tmp_path / "lock"), tmp_path / "trace"

    def work() -> None:
        with hold(lock) as held:
            process.run(("sh", "-c", 'sleep 1; echo done >"$0"', str(trace)), os.environ, timeout=60, held=held)

    assert call_and_kill(work, lambda event, words: 0.3 if event == "subprocess.Popen" else None)
    with hold(lock):
        assert trace.read_text() == "done\n"


def test_what_the_program_leaves_in_the_background_holds_no_lock(tmp_path: Path) -> None:
    lock = str(tmp_path / "lock")
    words = ("sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!; exit 7")
    with hold(lock) as held:
        done = process.run(words, os.environ, timeout=60, held=held)
    with hold(lock):
        assert done.status == 7
    os.kill(int(done.stdout), 15)


def test_a_program_whose_starter_was_killed_has_no_more_time_than_it_would_have_had(
    tmp_path: Path,
) -> None:
    """Else whoever waits for the lock would wait for ever."""
    lock = str(tmp_path / "lock")

    def work() -> None:
        with hold(lock) as held:
            process.run(("sleep", "600"), os.environ, timeout=0.1, held=held)

    assert call_and_kill(work, lambda event, words: 0.05 if event == "subprocess.Popen" else None)
    with hold(lock):
        pass
