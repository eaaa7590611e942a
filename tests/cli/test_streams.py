"""Programs without a terminal: bytes, exit statuses and signals."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import time
from functools import partial

from tests.cli.world import World, program, wait_for


def test_ten_megabytes_come_back_byte_for_byte(ready: World) -> None:
    content = os.urandom(10 * 2**20)
    process = ready.start("shell", "--", "cat")
    out, err = process.communicate(content, timeout=60)
    assert (process.returncode, err) == (0, b"")
    assert hashlib.sha256(out).digest() == hashlib.sha256(content).digest()


def test_both_output_streams_stay_apart(ready: World) -> None:
    done = ready.run("shell", "--", "sh", "-c", r"printf 'a\0b\r\n'; printf '\377' >&2; [ -t 0 ] || echo pipe")
    assert done == (0, "a\0b\r\npipe\n", "�")


def test_statuses_are_the_programs_own(ready: World) -> None:
    script = ("shell", "--", "sh", "-c")
    assert ready.run(*script, "exit 7") == (7, "", "")
    assert ready.run(*script, "exit 255") == (255, "", "")
    assert ready.run(*script, "kill -9 $$").status == 137
    assert ready.run(*script, "kill -TERM $$").status == 143
    missing = ready.run("shell", "--", "no-such-program")
    assert missing.status == 127
    assert "no-such-program" in missing.err


def test_arguments_arrive_as_they_are(ready: World) -> None:
    words = ["", "two words", "it's", "$HOME", "`id`", "--", "-x", "a\nb", "*", "\\", "naïve"]
    shown = ready.ok("shell", "--", "sh", "-c", 'for word; do printf "<%s>" "$word"; done', "sh", *words).out
    assert shown == "".join(f"<{word}>" for word in words)


def test_a_reader_that_goes_away_ends_the_program(ready: World) -> None:
    line = f"{' '.join(program())} shell -- yes | head -n 1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}; echo ${{PIPESTATUS[0]}}"],
        cwd=ready.project,
        env=ready.environment,
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert done.stdout == b"y\n141\n"
    assert done.stderr == b""
    for words in (("--help",), ("list",)):
        line = f"{' '.join([*program(), *words])} | true; echo ${{PIPESTATUS[0]}}"
        quiet = subprocess.run(
            ["bash", "-c", line], cwd=ready.project, env=ready.environment, capture_output=True, check=False, timeout=30
        )
        assert (quiet.stdout, quiet.stderr) == (b"0\n", b"")


def test_no_input_and_closed_streams(ready: World) -> None:
    line = f"{' '.join(program())} shell -- sh -c 'echo out; exit 4' <&-"
    done = subprocess.run(
        ["sh", "-c", line], cwd=ready.project, env=ready.environment, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (4, b"out\n"), done
    done = subprocess.run(
        ["sh", "-c", f"{' '.join(program())} list >&- 2>&-"], cwd=ready.project, env=ready.environment, check=False
    )
    assert done.returncode == 0


TRAPS = "trap 'exit 42' INT; trap 'exit 43' TERM; trap 'exit 44' HUP; echo up; while :; do sleep 0.05; done"


def test_signals_reach_a_program_that_handles_them(ready: World) -> None:
    for number, status in ((signal.SIGINT, 42), (signal.SIGTERM, 43), (signal.SIGHUP, 44)):
        process = ready.start("shell", "--", "sh", "-c", TRAPS)
        assert process.stdout
        assert process.stdout.readline() == b"up\n"
        process.send_signal(number)
        assert process.wait(20) == status


def test_a_signal_ends_a_program_that_does_not_handle_it(ready: World) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        process = ready.start("shell", "--", "sh", "-c", "echo $$; exec sleep 60")
        assert process.stdout
        pid = int(process.stdout.readline())
        process.send_signal(number)
        assert process.wait(20) == 128 + number
        wait_for(partial(_is_gone, pid))


def test_a_program_that_ignores_signals_is_cut_off(ready: World) -> None:
    process = ready.start("shell", "--", "sh", "-c", "trap '' INT; echo up; sleep 20")
    assert process.stdout
    assert process.stdout.readline() == b"up\n"
    for _ in range(3):
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    assert process.wait(5) == 130


def test_suspended_and_continued_with_the_program(ready: World) -> None:
    process = ready.start("shell", "--", "sh", "-c", "echo $$; while :; do sleep 0.05; done")
    assert process.stdout
    guest = int(process.stdout.readline())
    process.send_signal(signal.SIGTSTP)
    wait_for(lambda: _state(process.pid) == "T" and _state(guest) == "T")
    process.send_signal(signal.SIGCONT)
    wait_for(lambda: _state(process.pid) != "T" and _state(guest) != "T")
    process.terminate()
    assert process.wait(20) == 128 + signal.SIGTERM


def test_a_killed_agentvm_leaves_no_session_behind(ready: World) -> None:
    session = ready.hold()
    assert [record["pid"] for record in ready.json("status")["sessions"]] == [session.pid]
    session.kill()
    session.wait()
    assert ready.json("status")["sessions"] == []
    ready.ok("rm")


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return _state(pid) == "Z"


def _state(pid: int) -> str:
    return subprocess.check_output(["ps", "-o", "stat=", "-p", str(pid)], text=True)[0]
