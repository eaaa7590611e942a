"""From nothing to a program in the project's VM, and what a later run changes."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.cli.world import World


def test_the_first_run_makes_everything_and_the_second_nothing(world: World) -> None:
    first = world.ok("shell", "--", "pwd")
    assert first.out == f"{world.project}\n"
    for word in ("create agentvm-base", "provision agentvm-base", "clone agentvm-base to agentvm-base-g1", "start"):
        assert word in first.err
    name = world.instance()
    assert world.instances() == {"agentvm-base": "stopped", "agentvm-base-g1": "stopped", name: "running"}
    before = world.tree()
    second = world.ok("shell", "--", "pwd")
    assert second == (0, f"{world.project}\n", "")
    assert world.tree() == before


def test_a_dry_run_of_anything_changes_nothing(world: World) -> None:
    before = list(world.directory.rglob("*"))
    done = world.ok("--dry-run", "codex", "fix it")
    assert "would create agentvm-base" in done.err
    assert "would run codex in agentvm-web-" in done.err
    assert done.out == ""
    for words in (("base", "init"), ("base", "apply"), ("rm",), ("stop",), ("prune",), ("install-shims",)):
        world.ok("--dry-run", *words)
    assert list(world.directory.rglob("*")) == before


def test_a_dry_run_on_a_ready_computer_changes_nothing(ready: World) -> None:
    before = ready.tree()
    said = ready.ok("--dry-run", "shell", AGENTVM_MOUNT_SSH="1").err
    assert f"would reconfigure {ready.instance()}, keeping its disk (newly shared: {ready.home}/.ssh)" in said
    assert f"would stop {ready.instance()}" in said
    commands = [("base", name) for name in ("init", "apply", "shell", "snapshot", "reset")]
    for words in (*commands, ("rm",), ("stop",), ("prune",), ("claude",), ("gh",), ("run", "codex")):
        ready.ok("--dry-run", *words)
    ready.ok("prune", "--dry-run")
    assert ready.tree() == before


def test_the_shared_directories_are_made_private_and_lead_to_the_host(ready: World) -> None:
    home = ready.guest_home()
    places = {path: ready.home / path for path in (".claude", ".codex")}
    places |= {f".config/{name}": ready.config / name for name in ("opencode", "gh")}
    for path, place in places.items():
        assert place.stat().st_mode & 0o777 == 0o700
        assert (home / path).resolve() == place
    assert not (ready.home / ".ssh").exists()
    ready.ok("shell", AGENTVM_MOUNT_GH_CONFIG="0", stdin="")
    assert not (home / ".config/gh").is_symlink()


def test_a_toggle_reaches_the_vm_and_its_disk_is_kept(ready: World) -> None:
    (ready.home / ".ssh").mkdir()
    (ready.home / ".ssh" / "id_test").write_text("key")
    ready.ok("shell", "--", "sh", "-c", "echo mine >~/kept")
    on = ready.ok("shell", "--", "sh", "-c", "cat ~/kept ~/.ssh/id_test", AGENTVM_MOUNT_SSH="1")
    assert on.out == "mine\nkey"
    assert f"newly shared: {ready.home}/.ssh" in on.err
    assert ready.ok("shell", "--", "true", AGENTVM_MOUNT_SSH="on").err == ""
    assert ready.json("status")["pending_change"] is True
    off = ready.ok("shell", "--", "sh", "-c", "cat ~/kept; ls ~/.ssh")
    assert off.out == "mine\n"
    assert f"no longer shared: {ready.home}/.ssh" in off.err


def test_a_toggle_waits_for_running_sessions_and_names_them(ready: World) -> None:
    (ready.home / ".ssh").mkdir()
    session = ready.hold()
    said = ready.fails(1, "shell", "--", "true", AGENTVM_MOUNT_SSH="1")
    assert f"is in use by sh (process {session.pid})" in said
    session.communicate()
    ready.ok("shell", "--", "true", AGENTVM_MOUNT_SSH="1")


def test_resources_change_in_place_and_a_disk_never_shrinks(ready: World) -> None:
    done = ready.ok("shell", "--", "true", AGENTVM_CPUS="3", AGENTVM_MEMORY="6GiB", AGENTVM_DISK="50GiB")
    assert "other resources" in done.err
    label = json.loads((ready.fake / ready.instance() / "agentvm.json").read_text())
    assert label["resources"] == {"cpus": 3, "memory": 6 * 2**30, "disk": 50 * 2**30}
    smaller = ready.run("shell", "--", "true", AGENTVM_DISK="20GiB")
    assert smaller.status == 2
    assert "AGENTVM_DISK is smaller" in smaller.err
    ready.ok("shell", "--", "true", AGENTVM_DISK="50GiB")


@pytest.mark.parametrize("name", [".gitconfig", ".git-credentials"])
def test_git_files_follow_the_host(world: World, name: str) -> None:
    toggle = {".gitconfig": "AGENTVM_MOUNT_GITCONFIG", ".git-credentials": "AGENTVM_MOUNT_GIT_CREDENTIALS"}[name]
    show = ("shell", "--", "sh", "-c", f"cat ~/{name}")
    (world.home / name).write_text("# one 'two' $(three)\n\n")
    assert world.ok(*show).out == "# one 'two' $(three)\n\n"
    (world.home / name).write_text("# changed")
    assert world.ok(*show).out == "# changed"
    assert (world.guest_home() / name).stat().st_mode & 0o777 == 0o600
    world.environment[toggle] = "off"
    assert world.run(*show).status == 1
    world.environment[toggle] = "on"
    assert world.ok(*show).out == "# changed"
    (world.home / name).unlink()
    assert world.run(*show).status == 1


def test_a_git_file_that_the_guest_made_is_never_touched(world: World) -> None:
    world.ok("shell", "--", "sh", "-c", "echo own >~/.gitconfig")
    (world.home / ".gitconfig").write_text("# host")
    show = ("shell", "--", "sh", "-c", "cat ~/.gitconfig")
    done = world.ok(*show)
    assert done.out == "own\n"
    assert "~/.gitconfig is this VM's own and stays" in done.err
    assert world.ok(*show, AGENTVM_MOUNT_GITCONFIG="0").out == "own\n"


def test_a_stopped_a_broken_and_a_deleted_vm_come_back(ready: World) -> None:
    ready.ok("shell", "--", "sh", "-c", "echo mine >~/kept")
    ready.ok("stop")
    assert f"start {ready.instance()}" in ready.ok("shell", "--", "cat", f"{ready.guest_home()}/kept").err
    place = ready.fake / ready.instance()
    (place / "status").write_text("broken")
    assert "by force" in ready.ok("shell", "--", "cat", f"{place}/home/kept").err
    (place / "agentvm.json").unlink()
    assert ready.json("status")["status"] == "incomplete"
    assert f"delete {place.name}" in ready.ok("shell", "--", "true").err
    shutil.rmtree(place)
    assert "clone agentvm-base-g1" in ready.ok("shell", "--", "true").err
    shutil.rmtree(ready.fake / "agentvm-base-g1")
    ready.ok("shell", "--", "true")
    ready.ok("rm")
    assert "provision" in ready.ok("shell", "--", "true").err


def test_a_run_starts_where_the_user_is(ready: World) -> None:
    (ready.project / ".git").mkdir()
    below = ready.project / "src" / "deep"
    below.mkdir(parents=True)
    done = ready.ok("shell", "--", "pwd", directory=below)
    assert (done.out, done.err) == (f"{below}\n", "")
    (ready.home / "short").symlink_to(below)
    assert ready.ok("shell", "--", "pwd", directory=ready.home / "short").out == f"{below}\n"


def test_a_linked_work_tree_is_a_project_with_the_repository_beside_it(world: World) -> None:
    git = "git init -q && git -c user.name=a -c user.email=b commit -q --allow-empty -m one && git worktree add -q ../tree"
    world.ok("shell", "--", "sh", "-c", git)
    tree = world.home / "tree"
    status = world.json("status", directory=tree)
    assert status["project"] == str(tree)
    points = {mount["point"] for mount in status["mounts"]}
    assert {str(tree), str(world.project / ".git")} <= points
