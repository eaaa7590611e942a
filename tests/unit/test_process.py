from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import agentvm
from agentvm import process
from agentvm.errors import Error
from agentvm.files import hold

ENVIRONMENT = {"PATH": os.environ["PATH"]}
SOURCES = str(Path(agentvm.__file__).parents[1])


def sh(text: str, *words: str) -> tuple[str, ...]:
    return ("sh", "-c", text, "sh", *words)


def has_ended(pid: int) -> bool:
    """Whether the process is gone, or only waits for its parent to ask for its status."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in 10 seconds"
        time.sleep(0.01)


def test_run_returns_what_was_said() -> None:
    done = process.run(sh("cat; echo oops >&2; exit 7"), ENVIRONMENT, timeout=10, stdin=b"in\0put")
    assert done == (7, b"in\0put", b"oops\n")


def test_the_environment_is_what_was_given_and_nothing_else() -> None:
    done = process.run(("env",), {**ENVIRONMENT, "ONE": "1"}, timeout=10)
    assert sorted(done.stdout.decode().split()) == sorted(["ONE=1", f"PATH={ENVIRONMENT['PATH']}"])


def test_the_directory(tmp_path: Path) -> None:
    done = process.run(("pwd", "-P"), ENVIRONMENT, timeout=10, directory=str(tmp_path))
    assert done.stdout.decode() == f"{os.path.realpath(tmp_path)}\n"


def test_standard_input_that_nobody_reads_is_no_error() -> None:
    much = b"x" * 1_000_000
    assert process.run(("true",), ENVIRONMENT, timeout=10, stdin=much).status == 0
    assert process.stream(("true",), ENVIRONMENT, lambda data: None, timeout=10, stdin=much) == 0


def test_standard_input_is_empty_and_not_the_users() -> None:
    assert process.run(("cat",), ENVIRONMENT, timeout=10).stdout == b""


def test_stream_hands_on_both_streams_as_they_come() -> None:
    said: list[bytes] = []
    status = process.stream(sh("echo one; echo two >&2; cat; exit 3"), ENVIRONMENT, said.append, timeout=10, stdin=b"!")
    assert (status, b"".join(said)) == (3, b"one\ntwo\n!")


def test_stream_is_live() -> None:
    """The program goes on only after its first line was seen."""
    said: list[bytes] = []

    def see(data: bytes) -> None:
        said.append(data)
        os.write(gate, b"\n")

    reader, gate = os.pipe()
    try:
        text = 'echo one; read -r _ <"$1"; echo two'
        assert process.stream(sh(text, f"/proc/{os.getpid()}/fd/{reader}"), ENVIRONMENT, see, timeout=10) == 0
    finally:
        os.close(reader)
        os.close(gate)
    assert b"".join(said) == b"one\ntwo\n"


def run(argv: tuple[str, ...], timeout: float) -> object:
    return process.run(argv, ENVIRONMENT, timeout=timeout)


def stream(argv: tuple[str, ...], timeout: float) -> object:
    return process.stream(argv, ENVIRONMENT, lambda data: None, timeout=timeout)


def spawn(argv: tuple[str, ...], timeout: float) -> object:
    return process.spawn(argv, ENVIRONMENT, (0, 1, 2))


def detach(argv: tuple[str, ...], timeout: float) -> object:
    return process.detach(argv, ENVIRONMENT, timeout=timeout)


@pytest.mark.parametrize("start", [run, stream, detach, spawn])
def test_a_program_that_is_not_there(start: Callable[[tuple[str, ...], float], object]) -> None:
    with pytest.raises(process.Missing, match="no-such-program was not found") as caught:
        start(("no-such-program",), 10)
    assert "PATH" in caught.value.hint


@pytest.mark.parametrize("start", [run, stream, detach])
def test_a_program_that_may_not_be_run(tmp_path: Path, start: Callable[[tuple[str, ...], float], object]) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    with pytest.raises(Error, match="may not be run"):
        start((str(tmp_path / "tool"),), 10)


@pytest.mark.parametrize("start", [run, stream, detach])
def test_a_slow_program_is_ended_with_all_that_it_started(
    tmp_path: Path, start: Callable[[tuple[str, ...], float], object]
) -> None:
    pids = tmp_path / "pids"
    with pytest.raises(process.TooSlow, match="did not end in 1 seconds"):
        start(sh('sleep 100 & echo $$ $! >"$1"; wait', str(pids)), 1)
    for pid in pids.read_text().split():
        until(partial(has_ended, int(pid)))


def test_a_slow_program_that_does_not_listen_is_killed() -> None:
    began = time.monotonic()
    with pytest.raises(process.TooSlow):
        process.run(sh('trap "" TERM; while :; do sleep 1; done'), ENVIRONMENT, timeout=0.2)
    assert time.monotonic() - began < 8


@pytest.mark.parametrize("start", ["run", "stream"])
def test_ctrl_c_ends_the_program_too(tmp_path: Path, start: str) -> None:
    """The terminal's signal does not reach it: it is agentvm that ends it, and only then ends itself."""
    pids = tmp_path / "pids"
    code = f"""
import sys
from agentvm import process
# Late enough for Python to have come from starting it to waiting for it.
words = ("sh", "-c", 'sleep 0.5; echo $$ >"$1.part" && mv "$1.part" "$1"; exec sleep 100', "sh", sys.argv[1])
output = (lambda data: None,) if {start!r} == "stream" else ()
try:
    process.{start}(words, {{"PATH": sys.argv[2]}}, *output, timeout=100)
except KeyboardInterrupt:
    sys.exit(42)
"""
    argv = (sys.executable, "-c", code, str(pids), ENVIRONMENT["PATH"])
    parent = subprocess.Popen(argv, env={**ENVIRONMENT, "PYTHONPATH": SOURCES})
    until(pids.exists)
    pid = int(pids.read_text())
    assert os.getpgid(pid) != os.getpgid(parent.pid)
    parent.send_signal(signal.SIGINT)
    assert parent.wait(10) == 42
    assert has_ended(pid)


# A lock that is held as long as a program runs


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def is_free(lock: Path) -> bool:
    with open(lock, "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


@pytest.mark.parametrize(("text", "status"), [("cat; exit 7", 7), ("cat; kill -9 $$", 137)])
def test_a_program_under_a_lock_is_like_any_other(lock: Path, text: str, status: int) -> None:
    with hold(str(lock)) as held:
        done = process.run(sh(text), ENVIRONMENT, timeout=10, stdin=b"input", held=held)
    assert done == (status, b"input", b"")


def test_the_lock_outlives_agentvm_but_not_the_program(lock: Path, tmp_path: Path) -> None:
    code = """
import sys
from agentvm import process
from agentvm.files import hold
with hold(sys.argv[1]) as held:
    words = ("sh", "-c", 'echo $$ >"$1.part" && mv "$1.part" "$1"; exec sleep 100', "sh", sys.argv[2])
    process.run(words, {"PATH": sys.argv[3]}, timeout=100, held=held)
"""
    argv = (sys.executable, "-c", code, str(lock), str(tmp_path / "pid"), ENVIRONMENT["PATH"])
    parent = subprocess.Popen(argv, env={**ENVIRONMENT, "PYTHONPATH": SOURCES})
    until((tmp_path / "pid").exists)
    parent.kill()
    parent.wait(10)
    assert not is_free(lock)
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    until(partial(is_free, lock))


def test_what_the_program_leaves_in_the_background_holds_no_lock(lock: Path, tmp_path: Path) -> None:
    with hold(str(lock)) as held:
        left = sh('sleep 100 >/dev/null 2>&1 & echo $! >"$1"', str(tmp_path / "pid"))
        assert process.run(left, ENVIRONMENT, timeout=10, held=held).status == 0
    pid = int((tmp_path / "pid").read_text())
    try:
        assert not has_ended(pid)
        assert is_free(lock)
    finally:
        os.kill(pid, signal.SIGKILL)


# Programs in the background


def test_detach_waits_only_for_the_foreground(tmp_path: Path) -> None:
    text = '[ -z "$(cat)" ] && sleep 100 & echo $! >"$1"; exit 3'
    assert process.detach(sh(text, str(tmp_path / "pid")), ENVIRONMENT, timeout=10) == 3
    pid = int((tmp_path / "pid").read_text())
    assert not has_ended(pid)
    os.killpg(os.getpgid(pid), signal.SIGKILL)


def wait_for(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("own_group", [True, False])
def test_spawn_puts_the_descriptors_in_their_places(tmp_path: Path, own_group: bool) -> None:
    paths = [tmp_path / name for name in ("in", "out", "err")]
    paths[0].write_bytes(b"typed")
    descriptors = [os.open(path, os.O_RDWR | os.O_CREAT) for path in paths]
    try:
        streams = (descriptors[0], descriptors[1], descriptors[2])
        pid = process.spawn(sh("cat; ps -o pgid= -p $$ >&2; exit 9"), ENVIRONMENT, streams, own_group)
        assert wait_for(pid) == 9
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    assert paths[1].read_bytes() == b"typed"
    assert int(paths[2].read_bytes()) == (pid if own_group else os.getpgrp())


def test_spawn_does_not_pass_on_that_python_ignores_broken_pipes() -> None:
    pid = process.spawn(sh("kill -PIPE $$; exit 0"), ENVIRONMENT, (0, 1, 2))
    assert wait_for(pid) == -signal.SIGPIPE


def test_no_thread_stays_behind() -> None:
    before = threading.active_count()
    process.stream(("true",), ENVIRONMENT, lambda data: None, timeout=1000)
    until(lambda: threading.active_count() == before)


# --- Started now, collected later --------------------------------------------------------------------------------------


def test_a_program_that_was_begun_tells_both_its_streams_and_its_status() -> None:
    pending = process.begin(sh("echo out; echo err >&2; cat; exit 3"), ENVIRONMENT)
    assert pending.finish(10) == (3, b"out\n", b"err\n")


def test_more_than_a_pipe_holds_is_collected() -> None:
    pending = process.begin(sh("head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2"), ENVIRONMENT)
    done = pending.finish(10)
    assert (len(done.stdout), len(done.stderr)) == (300_000, 300_000)


def test_a_program_that_was_begun_and_hangs_is_killed_with_what_it_started(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    pending = process.begin(sh("sleep 100 & echo $! >$1.new; mv $1.new $1; wait", str(note)), ENVIRONMENT)
    until(note.exists)
    with pytest.raises(process.TooSlow, match="did not end"):
        pending.finish(0.2)
    until(lambda: has_ended(int(note.read_text())))


def test_a_program_that_is_not_there_can_not_begin() -> None:
    before = len(os.listdir("/dev/fd"))
    with pytest.raises(process.Missing, match="no-such-program was not found"):
        process.begin(("no-such-program",), ENVIRONMENT)
    assert len(os.listdir("/dev/fd")) == before


def test_a_program_that_says_too_much_is_stopped() -> None:
    pending = process.begin(sh("exec yes"), ENVIRONMENT)
    with pytest.raises(Error, match="said more than"):
        pending.finish(30)


def test_a_program_is_found_by_the_path_of_the_child_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And never in a relative directory, which may be a project's."""
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours/told").write_text("#!/bin/sh\necho ours\n")
    (tmp_path / "ours/told").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/ours:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path / "ours")
    for path in (ENVIRONMENT["PATH"], f".:{ENVIRONMENT['PATH']}", f":{ENVIRONMENT['PATH']}"):
        with pytest.raises(Error, match="told was not found"):
            process.begin(("told",), {"PATH": path})
    assert process.begin(("told",), {"PATH": f"{tmp_path}/ours"}).finish(10).stdout == b"ours\n"


# --- From one program into another -------------------------------------------------------------------------------------


def test_connect_passes_every_byte_and_tells_how_many(tmp_path: Path) -> None:
    content, target, told = os.urandom(3_000_000), tmp_path / "target", list[int]()
    (tmp_path / "source").write_bytes(content)
    source = sh('cat "$1"; echo aside >&2; exit 3', str(tmp_path / "source"))
    ends = process.connect(source, sh('cat >"$1"; echo done >&2', str(target)), ENVIRONMENT, told.append, patience=30)
    assert ends == (process.Completed(3, b"", b"aside\n"), process.Completed(0, b"", b"done\n"))
    assert target.read_bytes() == content
    assert told == sorted(told)
    assert told[-1] == len(content)


def test_connect_ends_the_source_when_the_target_is_gone() -> None:
    source, target = process.connect(
        sh("exec yes"), sh("echo full >&2; exit 9"), ENVIRONMENT, lambda total: None, patience=30
    )
    assert target == process.Completed(9, b"", b"full\n")
    assert source.status == -signal.SIGPIPE


def test_connect_keeps_the_beginning_of_what_is_said_without_waiting_for_a_reader() -> None:
    noise = "i=0; while [ $i -lt 20000 ]; do echo line $i >&2; i=$((i+1)); done"
    source, _ = process.connect(sh(noise), sh("cat"), ENVIRONMENT, lambda total: None, patience=30)
    assert source.stderr.startswith(b"line 0\nline 1\n")
    assert len(source.stderr) == 10_000


@pytest.mark.parametrize(("source", "target"), [("exec sleep 60", "cat"), ("exec cat /dev/zero", "exec sleep 60")])
def test_connect_gives_up_when_nothing_moves(source: str, target: str) -> None:
    with pytest.raises(process.TooSlow):
        process.connect(sh(source), sh(target), ENVIRONMENT, lambda total: None, patience=0.5)


def test_connect_leaves_nothing_when_one_is_not_there(tmp_path: Path) -> None:
    source = sh('echo $$ >"$1"; exec sleep 60', str(tmp_path / "pid"))
    with pytest.raises(process.Missing):
        process.connect(source, ("/nowhere/program",), ENVIRONMENT, lambda total: None, patience=30)
    until(lambda: not (tmp_path / "pid").exists() or has_ended(int((tmp_path / "pid").read_text() or "0")))
