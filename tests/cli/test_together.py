"""Many at once, and killed or interrupted at any moment: one VM, nothing lost, and the next command heals."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import time

from tests.cli.world import World

CROWD = 10
KILLS = 16


def test_ten_first_runs_of_one_project_make_one_vm(world: World) -> None:
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


def test_ten_projects_at_once_make_ten_vms_and_one_base(world: World) -> None:
    projects = [world.make_project(f"project-{n}") for n in range(CROWD)]
    crowd = [world.start("shell", "--", "pwd", directory=project) for project in projects]
    results = [process.communicate() for process in crowd]
    assert [process.returncode for process in crowd] == [0] * CROWD, results
    assert [out for out, _ in results] == [f"{project}\n".encode() for project in projects]
    assert b"".join(said for _, said in results).count(b"provision agentvm-base ") == 1
    assert sorted(world.instances().values()) == ["running"] * CROWD + ["stopped"] * 2


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
        assert process.wait(10) == 130
        assert process.stderr.read() == b"agentvm: interrupted\n"
    ready.ok("shell", "--", "true")


def test_interrupted_at_any_moment_of_a_first_run(world: World) -> None:
    chance = random.Random(5)
    for number in range(8):
        project = world.make_project(f"stopped-{number}")
        process = world.start("shell", "--", "sleep", "20", directory=project)
        time.sleep(chance.uniform(0.1, 0.6))
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
        assert process.returncode in (130, -signal.SIGINT), said
        assert b"Traceback" not in said or process.returncode == -signal.SIGINT
    for number in range(8):
        world.ok("shell", "--", "true", directory=world.home / f"stopped-{number}")
