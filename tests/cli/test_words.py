"""What agentvm says: help, version, JSON, doctor, shims; stdout is the product and nothing else."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from agentvm import __version__
from agentvm.commands.schemas import SCHEMAS
from agentvm.commands.table import COMMANDS
from agentvm.commands.topics import TOPICS
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
        assert re.search(f"^  {command.name} +{re.escape(command.summary)}$", shown.out, re.MULTILINE)
    for topic in TOPICS.values():
        assert re.search(f"^  {topic.name} +{re.escape(topic.summary)}$", shown.out, re.MULTILINE)
    for setting in SETTINGS:
        assert setting.variable in world.ok("help", "settings").out
    for option in ("--dry-run", "--quiet", "--verbose", "--version", "--help"):
        assert option in shown.out
    assert world.tree() == before


def test_each_command_has_help_that_does_nothing(world: World) -> None:
    before = world.tree()
    for command in COMMANDS.values():
        shown = world.ok("help", command.name)
        assert shown.out.startswith(f"usage: agentvm {command.usage}\n")
        assert shown.err == ""
        if not command.program:
            assert world.ok(command.name, "--help") == shown
    assert world.ok("base", "reset", "-h") == world.ok("help", "base", "reset")
    assert world.ok("base", "reset", "-h").out.startswith("usage: agentvm base reset [--force]\n")
    assert world.tree() == before


def test_what_follows_an_agents_name_is_the_agents(world: World) -> None:
    world.add_npm()
    for words in (("codex", "--help"), ("run", "codex", "--help"), ("codex", "help")):
        assert world.ok(*words).out == f"codex in {world.project}\n<{words[-1]}>\n"
    assert world.ok("shell", "--", "echo", "--help").out == "--help\n"


def test_topics_are_shown_and_a_command_of_the_same_name_has_them(world: World) -> None:
    for name, topic in TOPICS.items():
        shown = world.ok("help", name).out
        assert all(block in " ".join(shown.split()) for block in topic.page() if isinstance(block, str))
        assert shown.startswith("usage: agentvm " if name in COMMANDS else f"{name}: {topic.summary}\n")


def test_every_json_has_a_documented_form() -> None:
    documented = {schema.command for schema in SCHEMAS}
    assert documented == {name for name, c in COMMANDS.items() if any(o.name == "--json" for o in c.options)}


def test_what_json_says(ready: World) -> None:
    status = ready.json("status")
    assert (status["schema"], status["project"], status["status"]) == (1, str(ready.project), "running")
    writable = {mount["point"]: mount["writable"] for mount in status["mounts"]}
    assert writable[str(ready.project)] is True
    assert writable[str(ready.config / "gh")] is False
    listed = ready.json("list")
    assert [entry["role"] for entry in listed["instances"]] == ["base", "golden", "project"]


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


def test_settings_tells_each_value_and_where_it_is_from(world: World) -> None:
    place = world.config / "agentvm" / "config.toml"
    place.parent.mkdir(parents=True)
    place.write_text('cpus = 3\nmemory = "2GiB"\npass_env = ["NPM_*"]\n[[mounts]]\npath = "~/data"\nmode = "rw"\n')
    shown = world.ok("settings", AGENTVM_CPUS="5").out
    rows = {line.split()[0]: line.split()[1:] for line in shown.splitlines() if line}
    assert {setting.variable for setting in SETTINGS} < set(rows)
    assert rows["AGENTVM_CPUS"] == ["5", "environment"]
    assert rows["AGENTVM_MEMORY"] == [str(2**31), "config.toml"]
    assert rows["AGENTVM_YOLO"] == ["0", "default"]
    assert rows["mounts"] == [f"{world.home}/data", "config.toml"]
    assert rows["pass_env"] == ["NPM_*", "config.toml"]
    assert rows["config.toml:"] == [str(place)]
    facts = world.json("settings", AGENTVM_CPUS="5")
    found = {fact["name"]: (fact["value"], fact["source"]) for fact in facts["settings"]}
    assert (facts["config"], facts["config_exists"]) == (str(place), True)
    assert found["cpus"] == (5, "environment")
    assert found["memory"] == (2**31, "file")
    assert found["yolo"] == (False, "default")
    assert facts["mounts"] == [{"path": f"{world.home}/data", "writable": True}]
    assert facts["pass_env"] == ["NPM_*"]


def test_no_setting_that_may_hold_a_token_is_shown(ready: World) -> None:
    for setting in SETTINGS:
        if setting.secret:
            ready.environment[setting.variable] = "install --token=s3cret"
            for words in (("doctor",), ("settings",)):
                said = ready.run(*words)
                assert "s3cret" not in said.out + said.err
                assert "(set)" in said.out
            (fact,) = [f for f in ready.json("settings")["settings"] if f["name"] == setting.name]
            assert (fact["value"], fact["hidden"]) == (None, True)


def test_an_instance_that_is_not_there_is_answered_with_the_nearest(ready: World) -> None:
    name = ready.instance()
    assert f"Did you mean {name!r}?" in ready.run("rm", name[:-1]).err
    ready.foreign("nearly-nope")
    assert "Did you mean" not in ready.run("rm", "nearly-nop").err


def test_a_line_break_in_a_path_makes_no_row_of_its_own(ready: World) -> None:
    project = ready.make_project("first\nagentvm-web-00000000  running")
    ready.ok("shell", "--", "true", directory=project)
    assert len(ready.ok("list").out.splitlines()) == 1 + len(ready.instances())
    shown = ready.ok("status", directory=project).out
    assert "/first agentvm-web-00000000" in shown
    assert not any(line.startswith("agentvm-web-00000000") for line in shown.splitlines())


def test_doctor_finds_a_variable_that_is_no_setting(world: World) -> None:
    """And says nothing of one that is like none of ours."""
    shown = world.run("doctor", AGENTVM_CPU="2", AGENTVM_DASHBOARD="x").out
    assert "AGENTVM_CPU is no setting. Did you mean 'AGENTVM_CPUS'?" in shown
    assert "DASHBOARD" not in shown
