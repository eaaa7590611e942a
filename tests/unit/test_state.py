"""Locks and records, with real processes on the other side."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import agentvm
from agentvm.errors import Error
from agentvm.files import make_private_directory
from agentvm.state import CERTIFICATES, Rehearsal, State

SOURCES = str(Path(agentvm.__file__).parents[1])
NAME = "agentvm-web-12345678"

HOLD = """
import sys
sys.path.insert(0, sys.argv[1])
from agentvm.state import CERTIFICATES, State
state = State(sys.argv[2], lambda text: print("waiting:", text, flush=True))
with getattr(state, sys.argv[3])(*sys.argv[4:]):
    print("held", flush=True)
    sys.stdin.read()
"""


def nobody_waits(text: str) -> None:
    raise AssertionError(text)


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(str(tmp_path / "state"), nobody_waits)


Hold = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def hold(state: State) -> Iterator[Hold]:
    """Start a process that takes a lock, and keeps it until its standard input is closed."""
    started = []

    def start(kind: str, *words: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-I", "-S", "-c", HOLD, SOURCES, state.directory, kind, *words]
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        with process:
            pass


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline()


def holding(process: subprocess.Popen[str]) -> subprocess.Popen[str]:
    assert said(process) == "held\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    process.stdin.close()
    assert process.wait(10) == 0


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait(10)


def test_the_second_who_changes_waits_for_the_first_and_says_for_whom(state: State, hold: Hold) -> None:
    first = holding(hold("change", NAME, f"starting {NAME}"))
    second = hold("change", NAME, "too")
    assert said(second) == (
        f"waiting: waiting for another agentvm (process {first.pid}, starting {NAME}); Ctrl-C gives up\n"
    )
    end(first)
    end(holding(second))


def test_instances_have_locks_of_their_own(state: State, hold: Hold) -> None:
    holding(hold("change", "agentvm-other-1", "x"))
    with state.change(NAME, "y"):
        pass


def test_a_killed_process_leaves_no_lock(state: State, hold: Hold) -> None:
    kill(holding(hold("change", NAME, "x")))
    kill(holding(hold("use", NAME, "claude")))
    with state.change(NAME, "y"), state.alone(NAME, "z", ""):
        pass


def test_keepers_share_and_keep_those_out_who_change(state: State, hold: Hold) -> None:
    keeper = holding(hold("keep", NAME, "cloning it"))
    with state.keep(NAME, "too"):
        pass
    changer = hold("change", NAME, "x")
    assert said(changer).startswith("waiting: waiting for another agentvm")
    end(keeper)
    end(holding(changer))


def test_sessions_share_and_are_listed(state: State, hold: Hold) -> None:
    sessions = [holding(hold("use", NAME, what)) for what in ("claude", "codex")]
    holding(hold("use", "agentvm-other-1", "shell"))
    found = state.sessions(NAME)
    assert {(record.pid, record.what) for record in found} == {
        (process.pid, what) for process, what in zip(sessions, ("claude", "codex"), strict=True)
    }
    assert all(abs(record.since - time.time()) < 60 for record in found)
    for process in sessions:
        end(process)
    assert state.sessions(NAME) == ()


@pytest.mark.parametrize("kind", [State, Rehearsal])
def test_a_session_keeps_its_instance(state: State, hold: Hold, kind: type[State]) -> None:
    session = holding(hold("use", NAME, "claude"))
    with pytest.raises(Error) as caught, kind(state.directory, nobody_waits).alone(NAME, "removing it", "End it."):
        raise AssertionError("it was let in")
    assert caught.value.message == f"{NAME} is in use by claude (process {session.pid}), so removing it has to wait."
    assert caught.value.hint == "End it."
    end(session)
    with state.alone(NAME, "removing it", ""):
        pass


@pytest.mark.parametrize("kind", ["use", "look"])
def test_a_session_waits_for_a_change_that_is_alone_and_says_for_which(state: State, hold: Hold, kind: str) -> None:
    words = ("claude",) if kind == "use" else ()
    with state.change(NAME, f"removing {NAME}"), state.alone(NAME, "removing it", ""):
        session = hold(kind, NAME, *words)
        assert f"agentvm (process {os.getpid()}, removing {NAME}); Ctrl-C" in said(session)
    end(holding(session))


def test_who_only_looks_is_waited_for(state: State, hold: Hold) -> None:
    looker = holding(hold("look", NAME))
    changer = hold("alone", NAME, "removing it", "")
    with pytest.raises(subprocess.TimeoutExpired):
        changer.wait(0.2)
    end(looker)
    end(holding(changer))


def test_who_changes_it_is_told_to_others_while_it_is_done(state: State, hold: Hold) -> None:
    assert state.changing(NAME) == ""
    with state.change(NAME, "starting it"):
        assert state.changing(NAME) == "", "that is no other"
    changer = holding(hold("change", NAME, "stopping it"))
    assert state.changing(NAME) == f"process {changer.pid}, stopping it"
    kill(changer)
    assert state.changing(NAME) == ""


def test_the_record_of_a_killed_session_is_removed(state: State, hold: Hold) -> None:
    session = holding(hold("use", NAME, "claude"))
    kill(session)
    record = Path(state.directory, "sessions", f"{NAME}.{session.pid}")
    assert record.exists()
    assert state.sessions(NAME) == ()
    assert not record.exists()


def test_a_damaged_record_is_no_failure(state: State, hold: Hold) -> None:
    session = holding(hold("use", NAME, "claude"))
    Path(state.directory, "sessions", f"{NAME}.{session.pid}").write_bytes(b"")
    assert [record.what for record in state.sessions(NAME)] == [""]


def test_forgotten_lock_files_do_not_let_two_in(state: State, hold: Hold) -> None:
    """Who waited on the file of a deleted instance must not hold a lock that nobody else sees."""
    remover = holding(hold("change", NAME, "removing it"))
    waiter = hold("change", NAME, "making it anew")
    assert said(waiter).startswith("waiting: ")
    state.forget(NAME)
    end(remover)
    holding(waiter)
    third = hold("change", NAME, "too")
    assert f"process {waiter.pid}, making it anew" in said(third)
    end(waiter)
    end(holding(third))


def test_forgetting_what_is_not_there(state: State) -> None:
    state.forget(NAME)


def test_a_lock_file_that_is_a_link_is_not_followed(state: State, tmp_path: Path) -> None:
    make_private_directory(state.directory)
    Path(state.directory, f"{NAME}.change").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic links"), state.change(NAME, "x"):
        raise AssertionError("it was followed")
    assert not (tmp_path / "victim").exists()


def test_the_generation_is_remembered(state: State) -> None:
    assert state.newest_generation() == 0
    state.remember_generation(12)
    assert state.newest_generation() == 12
    Path(state.directory, "generation").write_bytes(b"many")
    assert state.newest_generation() == 0


def test_everything_is_private(state: State) -> None:
    log = Path(state.log("provision"))
    with state.change(NAME, "x"), state.use(NAME, "y"):
        state.remember_generation(1)
        found = [Path(state.directory), *Path(state.directory).rglob("*")]
        modes = {path: stat.S_IMODE(path.stat().st_mode) for path in found}
    assert log in modes
    assert len(modes) >= 8
    assert modes == {path: 0o600 if path.suffix or path.name == "generation" else 0o700 for path in modes}


def test_a_rehearsal_writes_nothing(tmp_path: Path) -> None:
    state = State(str(tmp_path / "state"), nobody_waits).rehearsal()
    with state.change(NAME, "x"), state.keep(NAME, "k"), state.use(NAME, "y"), state.alone(NAME, "z", ""):
        state.remember_generation(3)
    assert not os.path.exists(state.directory)


def test_a_session_removes_what_killed_ones_left(state: State, hold: Hold, tmp_path: Path) -> None:
    killed = holding(hold("use", NAME, "codex"))
    killed.kill()
    killed.wait()
    with state.use(NAME, "claude"):
        pass
    assert list((tmp_path / "state" / "sessions").iterdir()) == []


def test_tidying_forgets_what_is_gone_and_nobody_holds(state: State, hold: Hold, tmp_path: Path) -> None:
    for name in ("p-there", "p-gone", "p-used", "p-changed"):
        with state.change(name, "making it"), state.use(name, "codex"):
            state.remember(name, CERTIFICATES, "mark")
    used, changed = holding(hold("use", "p-used", "codex")), holding(hold("change", "p-changed", "making it"))
    state.rehearsal().tidy(lambda name: False)
    state.tidy(lambda name: name == "p-there")
    assert {path.stem for path in (tmp_path / "state").glob("p-*")} == {"p-there", "p-used", "p-changed"}
    end(used)
    end(changed)


# --- What is known of the past -----------------------------------------------------------------------------------------


def test_the_last_use_is_when_a_session_ended_or_began(state: State) -> None:
    assert state.last_use(NAME) == 0
    lock = Path(state.directory, f"{NAME}.use")
    with state.use(NAME, "codex"):
        assert abs(state.last_use(NAME) - time.time()) < 60
        os.utime(lock, (1000, 1000))
    assert abs(state.last_use(NAME) - time.time()) < 60
    os.utime(lock, (1000, 1000))
    with state.look(NAME), state.rehearsal().use(NAME, "codex"):
        pass
    with state.alone(NAME, "stopping", "End it."):
        pass
    assert state.last_use(NAME) == 1000, "who looks at it or wants it alone does not use it"


def test_our_directories_are_made_private_again(state: State) -> None:
    with state.use(NAME, "codex"):
        pass
    assert state.public_directories() == ()
    for path in (state.directory, os.path.join(state.directory, "sessions")):
        os.chmod(path, 0o755)
    os.symlink("/tmp", os.path.join(state.directory, "link"))
    assert state.public_directories() == (state.directory, os.path.join(state.directory, "sessions"))
    state.make_private()
    assert state.public_directories() == ()


def test_the_state_beside_is_another_prefixs(state: State) -> None:
    assert state.beside("other").directory == os.path.join(os.path.dirname(state.directory), "other")
    assert type(state.rehearsal().beside("other")) is Rehearsal
