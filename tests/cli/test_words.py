"""What agentvm says: help, version, JSON, doctor, shims; stdout is the product and nothing else."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from agentvm import __version__
from agentvm.commands.table import COMMANDS
from agentvm.settings import SETTINGS
from tests.cli.world import World, write_program


def test_version_and_help_need_nothing(world: World) -> None:
    """Neither a project, nor a good setting, nor a backend."""
    world.environment["AGENTVM_YOLO"] = "perhaps"
    before = world.tree()
    for word in ("--version", "-V"):
        assert world.ok(word, directory=Path("/")) == (0, f"agentvm {__version__}\n", "")
    shown = world.ok("--help", directory=Path("/"))
    assert shown.err == ""
    assert {world.ok("-h").out, world.ok("help").out} == {shown.out}
    for command in COMMANDS.values():
        assert f"  {command.usage} " in shown.out
    for setting in SETTINGS:
        assert setting.variable in shown.out
    for option in ("--dry-run", "--quiet", "--verbose", "--version", "--help"):
        assert option in shown.out
    assert world.tree() == before


def test_each_command_has_help_that_does_nothing(world: World) -> None:
    before = world.tree()
    for command in COMMANDS.values():
        shown = world.ok("help", command.name)
        assert shown.out.startswith(f"usage: agentvm {command.usage}\n")
        assert shown.err == ""
        if not command.passes_on:
            assert world.ok(command.name, "--help") == shown
    assert world.ok("base", "reset", "-h").out.startswith("usage: agentvm base")
    assert world.tree() == before


def test_json_tells_of_the_project_and_all_vms(ready: World) -> None:
    status = ready.json("status")
    assert (status["schema"], status["project"], status["status"]) == (1, str(ready.project), "running")
    writable = {mount["point"]: mount["writable"] for mount in status["mounts"]}
    assert writable[str(ready.project)] is True
    assert writable[str(ready.config / "gh")] is False
    assert [entry["role"] for entry in ready.json("list")["instances"]] == ["base", "golden", "project"]


def test_status_before_and_during_a_session(world: World) -> None:
    assert "absent: the first run makes it" in world.ok("status").out
    absent = world.json("status")
    assert (absent["status"], absent["generation"], absent["sessions"]) == ("absent", None, [])
    assert world.json("list")["instances"] == []
    empty = world.ok("list")
    assert (empty.out, "there are no VMs yet" in empty.err) == ("", True)
    assert not world.state.exists()
    session = world.hold()
    (record,) = world.json("status")["sessions"]
    assert (record["pid"], record["what"]) == (session.pid, "sh")
    assert f"sh (process {session.pid})" in world.ok("status").out
    assert "the next run changes what is shared" in world.ok("status", AGENTVM_MOUNT_SSH="1").out


def test_quiet_says_only_what_went_wrong(world: World) -> None:
    for option in ("-q", "--quiet"):
        project = world.make_project(option)
        assert world.ok(option, "shell", "--", "echo", "out", directory=project) == (0, "out\n", "")
        assert world.ok(option, "rm", directory=project) == (0, "", "")
    assert world.ok("-q", "prune").err == ""
    assert "There is no instance 'nope'" in world.run("-q", "rm", "nope").err


def test_every_line_of_the_conversation_is_on_stderr(world: World) -> None:
    """Whatever agentvm has to do before, the program's output is all there is on stdout."""
    world.add_npm()
    assert world.ok("-v", "codex", "--version").out == "codex 1.2.3\n"
    for words in (("stop",), ("base", "apply"), ("base", "snapshot"), ("base", "reset"), ("prune",), ("rm",)):
        assert world.ok(*words).out == ""


def test_control_characters_of_a_path_do_not_reach_the_terminal(world: World) -> None:
    project = world.make_project("evil\x1b]0;title\x07")
    done = world.run("status", directory=project)
    assert "\x1b" not in done.out + done.err
    assert "\x07" not in done.out + done.err


def test_doctor_tells_what_is_wrong_and_what_mends_it(world: World) -> None:
    well = world.ok("doctor").out
    assert "there is none yet -> `agentvm base init`, or the first run makes it" in well
    assert f"{world.project} -> agentvm-web-" in well
    bad = world.run("doctor", AGENTVM_BASE_MANIFEST_DIR="/nowhere")
    assert bad.status == 1
    assert "FAIL  manifest" in bad.out
    assert "/nowhere is not a manifest" in bad.out
    home = world.ok("doctor", directory=world.home)
    assert "it is your home directory" in home.out
    world.ok("shell", "--", "true")
    (world.fake / world.instance() / "status").write_text("broken")
    assert "is broken" in world.ok("doctor").out
    assert "the next run mends it" in world.ok("doctor").out


def test_shims_are_installed_and_run_the_agent_in_the_vm(world: World) -> None:
    world.add_npm()
    place = world.home / "my shims"
    done = world.ok("install-shims", str(place))
    assert done.out == f"export PATH='{place}':\"$PATH\"\n"
    assert sorted(path.name for path in place.iterdir()) == ["claude", "codex", "opencode"]
    assert all(path.stat().st_mode & 0o777 == 0o755 for path in place.iterdir())
    path = f"{place}:{world.environment['PATH']}"
    shown = subprocess.run(
        ["codex", "two words"],
        cwd=world.project,
        env=world.environment | {"PATH": path},
        executable=place / "codex",
        capture_output=True,
        check=True,
    )
    assert shown.stdout.decode() == f"codex in {world.project}\n<two words>\n"
    again = world.ok("install-shims", str(place), PATH=path)
    assert again.out == ""
    assert f"codex runs in a VM ({place}/codex)" in world.ok("doctor", PATH=path).out


def test_shims_never_replace_a_file_that_is_not_ours(world: World) -> None:
    place = world.home / "bin"
    write_program(place / "codex", "echo the host's own\n")
    said = world.fails(1, "install-shims", "../bin")
    assert f"{place}/codex is not a shim of agentvm's, so nothing was written" in said
    assert "--force" in said
    world.ok("install-shims", str(place), "--force")
    assert len(list(place.iterdir())) == 3
    (world.home / "file").write_text("")
    assert "can't be made" in world.fails(1, "install-shims", str(world.home / "file" / "bin"))


def test_a_shim_can_be_bypassed(world: World) -> None:
    place = world.home / ".local/share/agentvm/shims"
    assert world.ok("install-shims").out.startswith("export PATH=")
    own = world.home / "own"
    write_program(own / "codex", "echo the host\n")
    path = os.pathsep.join((str(place), str(own), world.environment["PATH"]))
    shown = subprocess.run(
        [place / "codex"],
        cwd=world.project,
        env=world.environment | {"PATH": path, "AGENTVM_BYPASS": "1"},
        capture_output=True,
        check=True,
    )
    assert shown.stdout == b"the host\n"
    assert world.json("list")["instances"] == []


def test_doctor_does_not_show_what_may_hold_a_token(ready: World) -> None:
    done = ready.run("doctor", AGENTVM_CODEX_INSTALL_CMD="install --token=s3cret")
    assert "s3cret" not in done.out + done.err
    assert "(set)" in done.out
