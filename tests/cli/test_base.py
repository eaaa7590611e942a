"""base init, apply, snapshot, reset and shell."""

from __future__ import annotations

from pathlib import Path

from tests.cli.world import World, snapshot


def make_manifest(world: World, **scripts: str) -> str:
    place = world.directory / "manifest"
    (place / "scripts").mkdir(parents=True, exist_ok=True)
    (place / "apt-packages.txt").write_text("# tools\ngit jq\n\nripgrep # fast\n")
    for name, text in scripts.items():
        (place / "scripts" / f"{name}.sh").write_text(f"#!/bin/sh\n{text}\n")
    return str(place)


def goldens(world: World) -> list[str]:
    return [name for name in world.instances() if name.startswith("agentvm-base-g")]


def test_init_makes_what_is_missing_and_says_what_is_there(world: World) -> None:
    done = world.ok("base", "init")
    assert done.out == ""
    assert "the base is ready: agentvm-base-g1" in done.err
    assert world.instances() == {"agentvm-base": "stopped", "agentvm-base-g1": "stopped"}
    before = world.tree()
    assert "the base is there already (agentvm-base-g1)" in world.ok("base", "init").err
    assert world.tree() == before
    assert world.ok("--quiet", "base", "init") == (0, "", "")


def test_the_manifest_is_run_in_order_and_logged(world: World) -> None:
    manifest = make_manifest(world, b20="echo second", a10="echo first")
    (Path(manifest) / "scripts" / "notes.txt").write_text("not a script")
    done = world.ok("base", "init", AGENTVM_BASE_MANIFEST_DIR=manifest)
    titles = [line.partition("] ")[2] for line in done.err.splitlines() if line.startswith("agentvm: [")]
    assert titles[-3:] == ["3 packages", "a10.sh", "b20.sh"]
    told = (world.fake / "agentvm-base" / "root.log").read_text()
    assert told.index("'git' 'jq' 'ripgrep'") < told.index("echo first") < told.index("echo second")
    (log,) = world.state.rglob("provision-*.log")
    assert str(log) in done.err
    assert log.stat().st_mode & 0o777 == 0o600
    assert log.parent.stat().st_mode & 0o777 == 0o700
    assert "--- a10.sh" in log.read_text()


def test_a_failing_script_of_init_is_named_and_init_resumes(world: World) -> None:
    world.fail_with(9, "echo flaky")
    manifest = make_manifest(world, a10="echo fine", b20="echo flaky")
    for words in (("base", "init"), ("shell", "--", "true")):
        done = world.run(*words, AGENTVM_BASE_MANIFEST_DIR=manifest)
        assert (done.status, done.out) == (1, "")
        assert "Provisioning failed: b20.sh ended with status 9; the log is" in done.err
        assert "agentvm base apply" in done.err
        assert goldens(world) == []
    (world.fake / "failures").unlink()
    done = world.ok("base", "init", AGENTVM_BASE_MANIFEST_DIR=manifest)
    assert "create agentvm-base" not in done.err
    assert goldens(world) == ["agentvm-base-g1"]


def test_a_package_that_does_not_exist_leaves_the_golden_alone(ready: World) -> None:
    ready.fail_with(100, "'ripgrep'")
    golden = snapshot(ready.fake / "agentvm-base-g1")
    done = ready.run("base", "apply", AGENTVM_BASE_MANIFEST_DIR=make_manifest(ready))
    assert done.status == 1
    assert "3 packages ended with status 100" in done.err
    assert "Projects go on with the last snapshot." in done.err
    assert snapshot(ready.fake / "agentvm-base-g1") == golden
    ready.ok("shell", "--", "true", directory=ready.make_project("other"))
    assert ready.instances()["agentvm-base"] == "running"


def test_apply_snapshot_and_a_new_project_has_the_change(ready: World) -> None:
    said = ready.ok("base", "apply", AGENTVM_BASE_MANIFEST_DIR=make_manifest(ready)).err
    assert "projects see it after `agentvm base snapshot`" in said
    ready.ok("base", "shell", stdin="echo new >~/change\n")
    other = ready.make_project("other")
    show = ("shell", "--", "sh", "-c", "cat ~/change")
    assert ready.run(*show, directory=other).status == 1
    ready.ok("rm", directory=other)
    done = ready.ok("base", "snapshot")
    assert "new projects are cloned from agentvm-base-g2" in done.err
    assert f"older than it, and unchanged: {ready.project} " in done.err
    assert goldens(ready) == ["agentvm-base-g2"]
    assert ready.ok(*show, directory=other).out == "new\n"
    old = ready.run(*show)
    assert old.status == 1
    assert "this VM is older than the base: it has generation 1, the newest is 2" in old.err
    status = ready.json("status")
    assert (status["generation"], status["newest_generation"], status["older_than_base"]) == (1, 2, True)
    assert "older than the newest, 2" in ready.ok("status").out
    assert "g1 (older)" in ready.ok("list").out
    ready.ok("rm")
    assert ready.ok(*show).out == "new\n"
    assert ready.json("status")["older_than_base"] is False


def test_reset_takes_an_unsnapshotted_change_back(ready: World) -> None:
    ready.ok("base", "shell", stdin="echo oops >~/change\n")
    change = ready.fake / "agentvm-base" / "home" / "change"
    assert change.exists()
    ready.ok("base", "reset")
    assert not change.exists()
    ready.ok("base", "snapshot")
    assert "clone agentvm-base-g2 to agentvm-base" in ready.ok("base", "reset").err


def test_the_base_is_busy_while_somebody_looks_into_it(ready: World) -> None:
    shell = ready.start("base", "shell")
    assert shell.stdin
    assert shell.stdout
    shell.stdin.write(b"echo up\n")
    shell.stdin.flush()
    assert shell.stdout.readline() == b"up\n"
    for command in ("snapshot", "reset"):
        done = ready.run("base", command)
        assert (done.status, done.out) == (1, "")
        assert f"agentvm-base is in use by base shell (process {shell.pid})" in done.err
    assert goldens(ready) == ["agentvm-base-g1"]
    ready.ok("shell", "--", "true", directory=ready.make_project("other"))
    shell.stdin.write(b"exit 5\n")
    shell.communicate()
    assert shell.returncode == 5
    ready.ok("base", "snapshot")


def test_without_a_base_each_command_says_what_makes_one(world: World) -> None:
    for command in ("shell", "snapshot", "reset"):
        done = world.run("base", command)
        assert done.status in (1, 2)
        assert "`agentvm base init` makes" in done.err
    assert world.instances() == {}


def test_a_lost_base_is_made_again_from_the_golden(ready: World) -> None:
    ready.ok("rm", "agentvm-base")
    assert "clone agentvm-base-g1 to agentvm-base" in ready.ok("base", "apply").err
    ready.ok("rm", "agentvm-base", "--force")
    assert ready.ok("base", "shell", stdin="echo in\n").out == "in\n"


def test_generations_never_go_back(ready: World) -> None:
    ready.ok("base", "snapshot")
    ready.ok("rm", "agentvm-base-g2")
    ready.ok("base", "snapshot")
    assert goldens(ready) == ["agentvm-base-g3"]
