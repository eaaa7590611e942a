"""status, list, doctor, stop --idle and prune --older-than: what a person sees of many VMs, and what goes by itself."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shutil
import struct
import termios
import time
from typing import Any

import pytest

from agentvm.commands.columns import cells
from agentvm.commands.schemas import SCHEMA, SCHEMAS, Schema
from tests.cli.world import World, program

KINDS = {"string": str, "integer": int, "boolean": bool, "object": dict, "list": list, "any": object}
DAY = 24 * 3600


def on_screen(world: World, width: int, *words: str) -> list[str]:
    """The lines that agentvm prints to a terminal of this width."""
    pid, descriptor = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
        os.chdir(world.project)
        os.execve(program()[0], [*program(), *words], world.environment)
    said = bytearray()
    try:
        while data := os.read(descriptor, 65536):
            said += data
    except OSError:
        # Linux' way to say that the other end was closed.
        pass
    os.close(descriptor)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, said
    return said.decode().splitlines()


# --- JSON --------------------------------------------------------------------------------------------------------------


def entries_at(output: Any, path: str) -> list[Any]:
    found = [output]
    for word in filter(None, path.split(".")):
        found = [entry for one in found for entry in one[word]]
    return found


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.title)
def test_json_is_what_its_schema_says(ready: World, schema: Schema) -> None:
    place = ready.config / "agentvm" / "config.toml"
    place.parent.mkdir(exist_ok=True)
    place.write_text('[[mounts]]\npath = "~/data"\n')
    (ready.home / "data").mkdir()
    session = ready.hold()
    (ready.project / ".envrc").write_text("export A=1\n")
    # The status of review is 1 where there is something to decide.
    output = json.loads(ready.run(schema.command, "--json").out)
    session.communicate()
    assert output["schema"] == schema.version == SCHEMA
    entries = entries_at(output, schema.path)
    assert entries
    for entry in entries:
        assert list(entry) == [key.name for key in schema.fields]
        for key in schema.fields:
            kind, _, optional = key.kind.partition(" or ")
            value = entry[key.name]
            assert (optional and value is None) or (type(value) is KINDS[kind] or kind == "any"), (
                f"{key.name}: {value!r}"
            )


def test_json_before_there_is_anything(world: World) -> None:
    absent = world.json("status")
    assert {absent[key] for key in ("created", "disk", "running_since", "last_use", "agents")} == {None}
    assert world.json("list") == {"schema": SCHEMA, "instances": []}


# --- list and status ---------------------------------------------------------------------------------------------------


def test_list_tells_age_disk_and_sessions(ready: World) -> None:
    ready.ok("shell", "--", "sh", "-c", "head -c 5000000 /dev/urandom >~/large; truncate -s 1T ~/hollow")
    name = ready.age(3 * DAY)
    session = ready.hold()
    (row,) = (line for line in ready.ok("list").out.splitlines() if line.startswith(name))
    assert row.split()[1:5] == ["running", "project", "g1", "3d"]
    assert re.fullmatch(r"4\.[89]MiB", row.split()[5])
    assert re.search(rf"sh \d+s \(pid {session.pid}\)", row)
    (entry,) = (entry for entry in ready.json("list")["instances"] if entry["name"] == name)
    assert 5_000_000 <= entry["disk"] < 6_000_000, "the hole is not counted"
    assert entry["sessions"][0]["pid"] == session.pid
    assert abs(entry["last_use"] - time.time()) < 60
    status = ready.ok("status").out
    assert "made      3d ago" in status
    assert "MiB used" in status
    assert f"sh (process {session.pid}), for " in status


def test_list_of_all_prefixes(ready: World) -> None:
    session = ready.hold(AGENTVM_INSTANCE_PREFIX="other")
    ready.ok("base", "snapshot")
    ready.foreign("agentvm-mine")
    ours = ready.json("list")["instances"]
    assert {entry["prefix"] for entry in ours} == {"agentvm"}
    everything = ready.json("list", "--all-prefixes")["instances"]
    assert [entry for entry in everything if entry["prefix"] == "agentvm"] == ours
    others = {entry["role"]: entry for entry in everything if entry["prefix"] == "other"}
    assert set(others) == {"base", "golden", "project"}
    assert others["project"]["sessions"][0]["pid"] == session.pid
    assert others["project"]["older_than_base"] is False, "it is its own base that counts"
    assert "other-web-" in ready.ok("list", "--all-prefixes").out


def test_a_file_gets_whole_lines_and_a_terminal_lines_that_fit(ready: World) -> None:
    name = ready.instance()
    whole = ready.ok("list").out
    assert whole.splitlines()[0].split() == "NAME STATUS ROLE BASE AGE DISK SESSIONS PROJECT".split()
    assert str(ready.project) in whole
    for width in (80, 40):
        lines = on_screen(ready, width, "list")
        assert all(cells(line) <= width for line in lines), lines
        assert lines[0].split()[:2] == ["NAME", "STATUS"]
        assert lines[0].split()[-1] == "PROJECT"
        assert any(line.startswith(name[:12]) and line.endswith("/web") for line in lines)
    assert "SESSIONS" in on_screen(ready, 80, "list")[0]
    assert "ROLE" not in on_screen(ready, 60, "list")[0]


def test_a_narrow_terminal_loses_nothing_of_status_and_doctor(ready: World) -> None:
    ready.age(3 * DAY)
    for words in (("status",), ("doctor",)):
        wide, narrow = ready.ok(*words).out, on_screen(ready, 40, *words)
        if words == ("doctor",):
            wide, narrow = wide.partition("\nsettings\n")[0], narrow[: narrow.index("settings")]
        assert "".join("".join(narrow).split()) == "".join(wide.split())
        assert all(cells(line) <= 40 for line in narrow), narrow


# --- doctor ------------------------------------------------------------------------------------------------------------


def findings(world: World, *words: str, **variables: str) -> dict[str, dict[str, str]]:
    done = world.run("doctor", "--json", *words, directory=None, **variables)
    return {finding["subject"]: finding for finding in json.loads(done.out)["findings"]}


def test_each_finding_that_is_not_well_has_a_command(world: World) -> None:
    found = findings(world, AGENTVM_BASE_MANIFEST_DIR="/nowhere")
    bad = [finding for finding in found.values() if finding["verdict"] != "ok"]
    assert {finding["subject"] for finding in bad} == {"backend", "manifest", "base"}
    assert all(finding["command"] for finding in bad)


def test_fix_does_what_is_harmless_and_says_so(ready: World) -> None:
    name = ready.instance()
    state = ready.state / "agentvm" / "agentvm"
    state.chmod(0o755)
    (ready.fake / name / "stale.sock").write_text("")
    half = ready.fake / "agentvm-half-00000000"
    (half / "home").mkdir(parents=True)
    (half / "making").write_text("agentvm")
    (ready.fake / name / "home" / "work").write_text("mine")
    before = ready.tree()
    told = ready.ok("doctor").out
    assert f"others may look into {state}" in told
    assert "stale.sock" in told
    assert f"{half.name}" in told
    assert told.count("`agentvm doctor --fix`") == 3
    rehearsed = ready.ok("--dry-run", "doctor", "--fix")
    assert f"would have deleted {half.name}" in rehearsed.err
    assert ready.tree() == before
    fixed = ready.ok("doctor", "--fix").out
    assert f"mended: made {state} private" in fixed
    assert f"mended: deleted {half.name}" in fixed
    assert f"mended: removed {ready.fake}/{name}/stale.sock" in fixed
    assert state.stat().st_mode & 0o777 == 0o700
    assert not half.exists()
    assert "--fix" not in ready.ok("doctor", "--fix").out
    assert (ready.fake / name / "home" / "work").read_text() == "mine"


def test_fix_never_deletes_a_vm_that_holds_something(ready: World) -> None:
    gone = ready.make_project("gone")
    ready.ok("shell", "--", "true", directory=gone)
    ready.ok("stop", directory=gone)
    name = ready.instance(gone)
    shutil.rmtree(gone)
    (ready.fake / ready.instance() / "status").write_text("broken")
    before = sorted(ready.instances())
    found = findings(ready, "--fix")
    assert found[name]["command"] == f"agentvm adopt {name}"
    assert found[ready.instance()]["text"].startswith("is broken")
    assert sorted(ready.instances()) == before


def test_fix_leaves_alone_what_another_agentvm_makes(ready: World) -> None:
    """It holds the lock of what it makes, and what it makes has no label yet."""
    name = "agentvm-half-00000000"
    (ready.fake / name / "home").mkdir(parents=True)
    (ready.fake / name / "making").write_text("agentvm")
    with open(ready.state / "agentvm" / "agentvm" / f"{name}.change", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        print(f"{os.getpid()}\nmaking it", file=lock, flush=True)
        assert name not in ready.ok("doctor", "--fix").out
    assert (ready.fake / name).exists()
    assert f"deleted {name}" in ready.ok("doctor", "--fix").out


def test_doctor_tells_a_person_whom_it_waits_for(ready: World) -> None:
    ready.environment["TERM"] = "xterm"
    shown = on_screen(ready, 80, "doctor")
    for name in ("claude", "codex", "opencode"):
        assert any(line.endswith(f"agentvm: ask {name} in {ready.instance()}") for line in shown), shown
    assert ready.ok("doctor").err == ""


# --- stop --idle and prune --older-than --------------------------------------------------------------------------------


def test_stop_idle_stops_those_that_nobody_used(ready: World) -> None:
    fresh, used = ready.make_project("fresh"), ready.make_project("used")
    for project in (fresh, used):
        ready.ok("shell", "--", "true", directory=project)
    idle = ready.age(3 * 3600)
    ready.age(3 * 3600, used)
    session = ready.hold(used)
    ready.age(3 * 3600, used)
    said = ready.ok("--dry-run", "stop", "--idle", "2h").err
    assert f"would stop {idle}" in said
    assert "1 would be stopped" in said
    assert ready.instances()[idle] == "running"
    said = ready.ok("stop", "--idle", "2h").err
    assert f"{idle} had no session for 3h" in said
    assert "1 stopped that had no session for 2h or longer" in said
    assert {name: state for name, state in ready.instances().items() if state == "running"} == {
        ready.instance(fresh): "running",
        ready.instance(used): "running",
    }
    session.communicate()
    assert "nothing to stop" in ready.ok("stop", "--idle", "2h").err, "the end of its session counts"


def test_idleness_counts_from_the_boot_when_no_session_is_known(ready: World) -> None:
    name = ready.age(3 * 3600)
    (ready.state / "agentvm" / "agentvm" / f"{name}.use").unlink()
    os.utime(ready.fake / name / "status")
    assert "nothing to stop" in ready.ok("stop", "--idle", "2h").err
    then = time.time() - 3 * 3600
    os.utime(ready.fake / name / "status", (then, then))
    assert "1 stopped" in ready.ok("stop", "--idle", "2h").err


def test_a_session_that_was_killed_counts_until_it_was_found(ready: World) -> None:
    session = ready.hold()
    name = ready.age(3 * 3600)
    session.kill()
    session.wait()
    assert ready.json("status")["sessions"] == []
    assert abs(ready.json("status")["last_use"] - time.time()) < 60
    assert "nothing to stop" in ready.ok("stop", "--idle", "2h").err
    assert ready.instances()[name] == "running"


def test_prune_older_than_keeps_what_was_used_since(ready: World) -> None:
    projects = {word: ready.make_project(word) for word in ("old", "new", "gone")}
    for project in projects.values():
        ready.ok("shell", "--", "true", directory=project)
        ready.ok("stop", directory=project)
    (ready.fake / ready.instance(projects["old"]) / "home" / "large").write_bytes(bytes(3_000_000))
    names = {word: ready.age(40 * DAY, projects[word]) for word in ("old", "gone")}
    shutil.rmtree(projects["gone"])
    said = ready.ok("prune", "--older-than", "30d", "--dry-run").err
    assert "2 would be pruned" in said
    assert "MiB would be freed" in said
    said = ready.ok("prune", "--older-than", "30d").err
    assert re.search(r"2 pruned; (2\.9|3\.\d)MiB freed", said)
    left = ready.instances()
    assert ready.instance(projects["new"]) in left
    assert not set(names.values()) & set(left)


def test_rm_says_what_it_freed(ready: World) -> None:
    ready.ok("shell", "--", "sh", "-c", "head -c 4000000 /dev/urandom >~/large")
    assert re.search(r"(3\.[89]|4\.\d)MiB freed", ready.ok("rm").err)


@pytest.mark.parametrize("words", [("stop", "--idle", "2x"), ("prune", "--older-than", "soon")])
def test_a_wrong_duration_is_refused_with_examples(ready: World, words: tuple[str, ...]) -> None:
    said = ready.fails(2, *words)
    assert f"{words[1]}: {words[2]!r} is no duration" in said
    assert "90m, 2h, 30d or 1w" in said


def test_stop_idle_is_about_all_vms(ready: World) -> None:
    assert "takes neither a name nor --force" in ready.fails(2, "stop", ready.instance(), "--idle", "2h")
