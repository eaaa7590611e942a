"""stop, rm and prune: what is ours goes, and nothing else is ever touched."""

from __future__ import annotations

import shutil

from tests.cli.world import World, snapshot


def test_stop_keeps_the_disk_and_says_when_there_is_nothing_to_do(ready: World) -> None:
    name = ready.instance()
    ready.ok("shell", "--", "sh", "-c", "echo mine >~/kept")
    assert ready.ok("stop").out == ""
    assert ready.instances()[name] == "stopped"
    assert f"{name} is stopped already" in ready.ok("stop", name).err
    assert ready.ok("shell", "--", "sh", "-c", "cat ~/kept").out == "mine\n"
    assert "this project has no VM" in ready.ok("stop", directory=ready.make_project("other")).err


def test_rm_removes_the_vm_and_not_the_project(ready: World) -> None:
    (ready.project / "work").write_text("mine")
    name = ready.instance()
    done = ready.ok("rm")
    assert (done.out, f"delete {name}" in done.err) == ("", True)
    assert name not in ready.instances()
    assert (ready.project / "work").read_text() == "mine"
    assert not list(ready.state.rglob(f"{name}*"))
    assert "this project has no VM" in ready.ok("rm").err
    ready.ok("rm", "agentvm-base")
    assert ready.instances() == {"agentvm-base-g1": "stopped"}
    assert "clone agentvm-base-g1" in ready.ok("shell", "--", "true").err


def test_rm_and_stop_refuse_while_a_session_runs_and_force_ends_it(ready: World) -> None:
    session = ready.hold()
    for words in (("rm",), ("stop",), ("rm", ready.instance())):
        said = ready.fails(1, *words)
        assert f"is in use by sh (process {session.pid})" in said
        assert "--force" in said
    assert ready.run("prune").status == 0
    assert len(ready.json("list")["instances"][-1]["sessions"]) == 1
    ready.ok("stop", "--force")
    ready.ok("rm", "--force")
    assert "agentvm-web" not in " ".join(ready.instances())


def test_a_foreign_instance_is_never_touched(ready: World) -> None:
    places = [ready.foreign(name) for name in ("default", "agentvm-mine", "agentvm-web-00000000")]
    before = [snapshot(place) for place in places]
    assert not {place.name for place in places} & set(ready.instances())
    for place in places:
        for words in (("rm", place.name), ("rm", place.name, "--force"), ("stop", place.name, "--force")):
            said = ready.fails(1, *words)
            assert f"{place.name} is not an instance of agentvm with the prefix 'agentvm', so it is left alone" in said
    ready.ok("stop")
    assert "1 pruned" in ready.ok("prune").err
    assert [snapshot(place) for place in places] == before


def test_a_foreign_instance_under_our_name_is_not_used(world: World) -> None:
    name = world.instance()
    world.foreign(name, "running")
    before = world.tree()
    for words in (("shell", "--", "true"), ("rm",), ("stop",), ("status",)):
        done = world.run(*words)
        assert (done.status, done.out) == (1, "")
        assert f"{name} is not an instance of agentvm" in done.err
    assert [path for path in world.tree() if path.startswith("fake")] == [p for p in before if p.startswith("fake")]


def test_another_prefix_is_another_world(ready: World) -> None:
    ready.ok("shell", "--", "true", AGENTVM_INSTANCE_PREFIX="other")
    ready.ok("stop", AGENTVM_INSTANCE_PREFIX="other")
    ours = ready.instances()
    before = snapshot(ready.fake)
    assert not any(name.startswith("other") for name in ours)
    for name in ("other-base", "other-base-g1", ready.json("status", AGENTVM_INSTANCE_PREFIX="other")["instance"]):
        for command in ("rm", "stop"):
            assert "with the prefix 'agentvm', so it is left alone" in ready.fails(1, command, name, "--force")
    assert "nothing to prune" in ready.ok("prune").err
    assert snapshot(ready.fake) == before
    assert "1 pruned" in ready.ok("prune", AGENTVM_INSTANCE_PREFIX="other").err
    assert ready.instances() == ours


def test_a_longer_prefix_that_begins_like_ours_is_another_world(ready: World) -> None:
    """`agentvm-base` is also what the prefix `agentvm-base` would begin its names with."""
    ready.ok("shell", "--", "true", AGENTVM_INSTANCE_PREFIX="agentvm-two")
    ready.ok("stop", AGENTVM_INSTANCE_PREFIX="agentvm-two")
    assert not any(name.startswith("agentvm-two") for name in ready.instances())
    assert "nothing to prune" in ready.ok("prune").err


def test_prune_takes_stopped_ones_and_those_of_vanished_projects(ready: World) -> None:
    stopped, vanished, running = (ready.make_project(name) for name in ("stopped", "vanished", "running"))
    for project in (stopped, vanished, running):
        ready.ok("shell", "--", "true", directory=project)
    names = {project: ready.instance(project) for project in (stopped, vanished, running)}
    ready.ok("stop", directory=stopped)
    shutil.rmtree(vanished)
    entry = next(e for e in ready.json("list")["instances"] if e["name"] == names[vanished])
    assert entry["project_exists"] is False
    assert f"{vanished} (gone)" in ready.ok("list").out
    rehearsed = ready.ok("prune", "--dry-run").err
    assert f"would delete {names[stopped]}" in rehearsed
    assert "2 would be pruned" in rehearsed
    assert "2 pruned" in ready.ok("prune").err
    left = ready.instances()
    assert names[running] in left
    assert ready.instance() in left
    assert not {names[stopped], names[vanished]} & set(left)
    assert {"agentvm-base", "agentvm-base-g1"} <= set(left)


def test_prune_keeps_a_vanished_project_that_somebody_works_in(ready: World) -> None:
    project = ready.make_project("vanished")
    session = ready.hold(project)
    shutil.rmtree(project)
    done = ready.run("prune")
    assert (done.status, done.out) == (1, "")
    assert f"in use by sh (process {session.pid})" in done.err
    assert "0 pruned, 1 kept" in done.err
    session.communicate()
    assert "1 pruned" in ready.ok("prune").err
