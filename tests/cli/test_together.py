"""Many at once, and killed or interrupted at any moment: one VM, nothing lost, and the next command heals."""

from __future__ import annotations

import fcntl
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cli.world import World, wait_for
from tests.tables import Record

CROWD = 10
SESSIONS = 20
KILLS = 16
ENDED = re.compile(
    r"It was ended from outside: another agentvm \(process \d+, (\w+ .*)\) is at work|The connection was lost: \S+ is (stopped|gone)"
)


@pytest.mark.together
def test_ten_first_runs_of_one_project_make_one_vm(world: World, record: Record) -> None:
    crowd = [world.start("shell", "--", "sh", "-c", f"echo {n}; cat") for n in range(CROWD)]
    for number, process in enumerate(crowd):
        assert process.stdout
        assert process.stdout.readline() == f"{number}\n".encode()
    assert len(world.json("status")["sessions"]) == CROWD
    said = b"".join(process.communicate()[1] for process in crowd)
    assert [process.returncode for process in crowd] == [0] * CROWD
    assert said.count(b"create agentvm-base") == 1
    assert said.count(b"clone agentvm-base-g1") == 1
    assert b"waiting for another agentvm (process " in said
    assert world.instances() == {"agentvm-base": "stopped", "agentvm-base-g1": "stopped", world.instance(): "running"}
    record("first runs at once in one project", "one VM, ten sessions", tried=CROWD)


@pytest.mark.together
def test_ten_projects_at_once_make_ten_vms_and_one_base(world: World, record: Record) -> None:
    projects = [world.make_project(f"project-{n}") for n in range(CROWD)]
    crowd = [world.start("shell", "--", "pwd", directory=project) for project in projects]
    results = [process.communicate() for process in crowd]
    assert [process.returncode for process in crowd] == [0] * CROWD, results
    assert [out for out, _ in results] == [f"{project}\n".encode() for project in projects]
    assert b"".join(said for _, said in results).count(b"provision agentvm-base ") == 1
    assert sorted(world.instances().values()) == ["running"] * CROWD + ["stopped"] * 2
    record("projects at once", "ten VMs, one base", tried=CROWD)


@pytest.mark.together
def test_ten_runs_at_once_of_a_stopped_vm_whose_mounts_change(ready: World, record: Record) -> None:
    """Each looks at the VM before it waits: that must not be taken for a session, which the change would end."""
    ready.ok("stop")
    crowd = [ready.start("shell", "--", "true", AGENTVM_MOUNT_SSH="1") for _ in range(CROWD)]
    said = b"".join(process.communicate()[1] for process in crowd)
    assert [process.returncode for process in crowd] == [0] * CROWD, said
    assert said.count(b"reconfigure ") == 1
    record("runs at once with a changed toggle, VM stopped", "changed once, all run", tried=CROWD)


@pytest.mark.together
def test_twenty_sessions_on_one_vm(ready: World, record: Record) -> None:
    crowd = [ready.hold() for _ in range(SESSIONS)]
    assert {entry["pid"] for entry in ready.json("status")["sessions"]} == {process.pid for process in crowd}
    for process in crowd:
        process.communicate()
    assert [process.returncode for process in crowd] == [0] * SESSIONS
    assert ready.json("status")["sessions"] == []
    record("sessions on one VM", "all listed, all ended by themselves", tried=SESSIONS)


# --- What would end a session --------------------------------------------------------------------------------------------


@pytest.mark.together
def test_what_would_end_sessions_of_a_project_is_refused_and_names_them(ready: World, record: Record) -> None:
    sessions = [ready.hold(), ready.hold()]
    named = [f"sh (process {session.pid})" for session in sessions]
    refused = {
        "removing it has to wait": ready.fails(1, "rm"),
        "stopping it has to wait": ready.fails(1, "stop", ready.instance()),
        f"newly shared: {ready.home}/.ssh": ready.fails(1, "shell", "--", "true", AGENTVM_MOUNT_SSH="1"),
        "other resources": ready.fails(1, "update", AGENTVM_CPUS="3"),
    }
    for what, said in refused.items():
        assert what in said
        assert all(name in said for name in named)
        assert "--force" in said
    shutil.rmtree(ready.project)
    done = ready.run("prune", directory=ready.home)
    assert (done.status, done.out) == (1, "")
    assert all(name in done.err for name in named)
    assert "--force` ends it" in done.err
    for session in sessions:
        session.communicate()
        assert session.returncode == 0
    record("rm, stop, a changed toggle, update, prune beside sessions", "refused, sessions named", tried=5)


@pytest.mark.together
def test_what_would_end_a_shell_in_the_base_is_refused_and_names_it(ready: World, record: Record) -> None:
    with base_shell(ready) as shell:
        for words in (("base", "snapshot"), ("base", "reset"), ("rm", "agentvm-base"), ("stop", "agentvm-base")):
            said = ready.fails(1, *words)
            assert f"agentvm-base is in use by base shell (process {shell.pid})" in said
            assert "repeat with --force" in said
        ready.ok("base", "apply")
        (ready.fake / "agentvm-base" / "status").write_text("broken")
        for words in (("base", "apply"), ("base", "shell"), ("update", "--base")):
            said = ready.fails(1, *words)
            assert f"in use by base shell (process {shell.pid})" in said
            assert "`agentvm stop agentvm-base --force` ends it" in said
    record("base snapshot, reset, rm, stop beside a base shell", "refused, the shell named", tried=4)
    record("a broken base under a base shell", "not started anew", tried=3)


@pytest.mark.together
@pytest.mark.parametrize("command", ["stop", "rm"])
def test_a_session_that_is_ended_by_force_says_by_whom(ready: World, command: str, record: Record) -> None:
    sessions = [ready.hold() for _ in range(3)]
    ready.ok(command, "--force")
    for session in sessions:
        _, said = session.communicate()
        assert session.returncode == 1
        assert ENDED.search(said.decode()), said
    assert ready.json("status")["sessions"] == []
    ready.ok("shell", "--", "true")
    record(f"{command} --force beside sessions", "they end and say why", tried=len(sessions))


@pytest.mark.together
@pytest.mark.parametrize("command", ["snapshot", "reset"])
def test_a_base_shell_that_is_ended_by_force_says_by_whom(ready: World, command: str, record: Record) -> None:
    with base_shell(ready) as shell:
        ready.ok("base", command, "--force")
        _, said = shell.communicate()
        assert shell.returncode == 1
        assert ENDED.search(said.decode()), said
    record(f"base {command} --force beside a base shell", "it ends and says why")


# --- Waiting ---------------------------------------------------------------------------------------------------------------


@pytest.mark.together
@pytest.mark.parametrize("words", [("base", "snapshot"), ("base", "shell"), ("base", "apply"), ("rm", "agentvm-base")])
def test_a_second_terminal_says_for_what_it_waits_and_is_interrupted(
    ready: World, words: tuple[str, ...], record: Record
) -> None:
    with long_update(ready) as holder:
        waiting = ready.start(*words)
        assert waiting.stderr
        said = waiting.stderr.readline().decode()
        assert f"waiting for another agentvm (process {holder.pid}, updating agents in the base); Ctrl-C" in said
        waiting.send_signal(signal.SIGINT)
        assert waiting.wait(60) == 130
        assert waiting.stderr.read() == b"agentvm: interrupted\n"
        assert holder.poll() is None
    ready.ok(*words)
    record(f"Ctrl-C while `{' '.join(words)}` waits", "status 130, the other goes on")


@pytest.mark.together
def test_who_waits_for_one_that_is_killed_goes_on(ready: World, record: Record) -> None:
    with long_update(ready) as holder:
        crowd = [ready.start("base", "snapshot") for _ in range(3)]
        for process in crowd:
            assert process.stderr
            assert b"waiting for another agentvm" in process.stderr.readline()
        holder.kill()
        assert [process.wait(60) for process in crowd] == [0] * len(crowd)
    assert "agentvm-base-g4" in ready.instances()
    record("waiting for an agentvm that is killed", "one after the other goes on", tried=len(crowd))


@pytest.mark.together
def test_who_waits_to_use_a_vm_says_for_what(ready: World, record: Record) -> None:
    """The change has it for itself alone, and has said in another file what it does."""
    change, use = (ready.state / "agentvm" / "agentvm" / f"{ready.instance()}.{lock}" for lock in ("change", "use"))
    with change.open("w") as changing, use.open() as alone:
        changing.write(f"{os.getpid()}\nstopping it\n")
        changing.flush()
        fcntl.flock(changing, fcntl.LOCK_EX)
        fcntl.flock(alone, fcntl.LOCK_EX)
        process = ready.start("shell", "--", "true")
        assert process.stderr
        assert f"(process {os.getpid()}, stopping it)" in process.stderr.readline().decode()
    assert process.wait(60) == 0
    record("a run while the VM is stopped", "waits, says for what, goes on")


# --- Killed and interrupted ------------------------------------------------------------------------------------------------


def test_a_first_run_killed_at_any_moment_is_healed_by_the_next(world: World) -> None:
    """Killed again and again, each time a little later or earlier, and never cleaned up in between."""
    world.add_program("codex", "echo codex")
    chance = random.Random(3)
    begin = time.monotonic()
    world.ok("codex")
    longest = time.monotonic() - begin
    for number in range(KILLS):
        project = world.make_project(f"killed-{number}")
        if number % 4 == 0:
            world.run("rm", "agentvm-base-g1")
            world.run("rm", "agentvm-base")
        process = world.start("codex", directory=project)
        time.sleep(chance.uniform(0.02, longest * 1.2))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if number % 2:
            done = world.ok("codex", directory=project)
            assert done.out == "codex\n"
    for number in range(0, KILLS, 2):
        assert world.ok("codex", directory=world.home / f"killed-{number}").out == "codex\n"
    assert "incomplete" not in world.instances().values()


def test_prune_and_list_cope_with_what_a_kill_left(ready: World) -> None:
    left = ready.fake / "agentvm-half-12345678"
    left.mkdir()
    (left / "making").write_text("agentvm")
    others = ready.fake / "agentvm-two-half-12345678"
    others.mkdir()
    (others / "making").write_text("agentvm-two")
    copy = ready.fake / "agentvm-copy-12345678"
    copy.mkdir()
    (copy / "agentvm.json").write_bytes((ready.fake / "agentvm-base-g1" / "agentvm.json").read_bytes())
    assert {ready.instances()[left.name], ready.instances()[copy.name]} == {"incomplete"}
    assert "2 pruned" in ready.ok("prune").err
    assert not left.exists()
    assert not copy.exists()
    assert others.exists()


def test_interrupted_while_it_waits_for_a_lock(ready: World) -> None:
    lock = ready.state / "agentvm" / "agentvm" / f"{ready.instance()}.change"
    ready.ok("stop")
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        process = ready.start("shell", "--", "true")
        assert process.stderr
        assert b"waiting for another agentvm" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read() == b"agentvm: interrupted\n"
    ready.ok("shell", "--", "true")


def test_interrupted_at_any_moment_of_a_first_run(world: World) -> None:
    chance = random.Random(5)
    for number in range(8):
        project = world.make_project(f"stopped-{number}")
        process = world.start("shell", "--", "sleep", "20", directory=project)
        time.sleep(chance.uniform(0.1, 0.6))
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode in (130, -signal.SIGINT), said
        assert b"Traceback" not in said or process.returncode == -signal.SIGINT
    for number in range(8):
        world.ok("shell", "--", "true", directory=world.home / f"stopped-{number}")


# --- Steps -------------------------------------------------------------------------------------------------------------------


@contextmanager
def base_shell(world: World) -> Iterator[subprocess.Popen[bytes]]:
    """A shell in the base, which is there when this begins."""
    shell = world.start("base", "shell")
    assert shell.stdin
    assert shell.stdout
    shell.stdin.write(b"echo up\n")
    shell.stdin.flush()
    assert shell.stdout.readline() == b"up\n"
    yield shell
    shell.communicate()


@contextmanager
def long_update(world: World) -> Iterator[subprocess.Popen[bytes]]:
    """An `update --base` that is at work, and fails when this ends."""
    pipe, begun = world.directory / "pipe", world.directory / "begun"
    os.mkfifo(pipe)
    install = f"touch '{begun}'; read line <'{pipe}'; exit 1"
    updating = world.start("update", "--base", "codex", AGENTVM_CODEX_INSTALL_CMD=install)
    wait_for(begun.exists)
    try:
        yield updating
    finally:
        # Opening it waits for who reads it.
        pipe.write_text("go on\n")
        updating.communicate()
