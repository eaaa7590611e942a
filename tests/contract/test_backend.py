"""The contract of `agentvm.backend.Backend`, one suite for every backend.

On real Lima a boot takes a minute or two, so the fixtures are stations of one instance's life, and the tests of a
station stand together: nothing, the base, its clone, the clone running, and running again with other mounts. Two boots.
"""

from __future__ import annotations

import itertools
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from agentvm.errors import Error, UsageError
from agentvm.manifest import load_manifest
from agentvm.model import Command, Instance, InstanceSpec, Mount, Resources, Role, Session, Status, Usage
from agentvm.process import Completed
from agentvm.provision import provisioning_steps
from tests.contract.children import Ended, call_and_kill, call_in_child, started_processes
from tests.contract.worlds import World

HOSTILE = (
    "",
    " ",
    "two words",
    "a'b",
    'a"b',
    "$HOME `id` $(id)",
    "\\ \\n",
    "a\nb",
    "*",
    "-n",
    "größe",
    "# ; & | < > !",
)
LISTENING = """
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
caller, _ = listener.accept()
caller.sendall(b"hello")
caller.close()
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def base(world: World) -> InstanceSpec:
    spec = world.spec("base")._replace(role=Role.BASE, project="")
    world.backend.create(spec, world.template)
    return spec


@pytest.fixture(scope="module")
def clone(world: World, base: InstanceSpec) -> InstanceSpec:
    spec = world.spec("clone", world.directory("first"))
    world.backend.clone(base.name, spec)
    return spec


@pytest.fixture(scope="module")
def running(world: World, base: InstanceSpec, clone: InstanceSpec) -> InstanceSpec:
    """The clone, booted after its source was deleted, and with what a session needs of the guest's sshd."""
    world.backend.delete(base.name)
    world.backend.start(clone.name)
    for step in provisioning_steps(load_manifest("")._replace(packages=(), scripts=())):
        said: list[bytes] = []
        assert world.backend.run(clone.name, step.command, said.append) == 0, b"".join(said)
    return clone


@pytest.fixture(scope="module")
def again(world: World, running: InstanceSpec) -> InstanceSpec:
    """The clone with other mounts, after a start that was killed."""
    write = Command(("sh", "-c", "echo kept >~/kept"))
    assert world.backend.run(running.name, write, _ignore) == 0
    world.backend.stop(running.name)
    spec = running._replace(mounts=(world.directory("it's a second one"),), resources=Resources(cpus=1))
    world.backend.reconfigure(spec)
    assert call_and_kill(lambda: world.backend.start(spec.name), _starting)
    world.backend.start(spec.name)
    return spec


# --- Nothing is there --------------------------------------------------------------------------------------------------


def test_what_is_not_there(world: World) -> None:
    name = world.spec("nobody").name
    assert world.backend.find(name) is None
    assert name not in [instance.name for instance in world.backend.list()]
    world.backend.delete(name)


def test_refuses_to_change_what_is_not_there(world: World) -> None:
    spec = world.spec("nobody")
    with pytest.raises(Error):
        world.backend.start(spec.name)
    with pytest.raises(Error):
        world.backend.stop(spec.name)
    with pytest.raises(Error):
        world.backend.reconfigure(spec)
    with pytest.raises(Error):
        world.backend.clone(spec.name, world.spec("copy"))
    assert world.backend.find(spec.name) is None
    assert world.backend.find(world.spec("copy").name) is None


def test_accepts_paths_that_it_can_carry(world: World) -> None:
    for path in (
        "/srv/plain",
        "/srv/it's got spaces",
        "/srv/größe",
        "/srv/-dash",
        "/srv/$dollar",
        "/srv/{{.Name}}",
        "/srv/line\nbreak",
    ):
        world.backend.validate(world.spec("project", Mount(path, path, True)))


def test_refuses_paths_that_it_cannot_carry(world: World) -> None:
    with pytest.raises(UsageError):
        world.backend.validate(world.spec("project", Mount("/srv/\udcff", "/srv/\udcff", True)))


def test_refuses_a_name_that_is_too_long(world: World) -> None:
    with pytest.raises(UsageError):
        world.backend.validate(world.spec("x" * 60))


# --- The base, never started -------------------------------------------------------------------------------------------


def test_create_makes_a_stopped_instance_without_mounts(world: World, base: InstanceSpec) -> None:
    made = _find(world, base)
    assert made.status is Status.STOPPED
    assert made.label is not None
    assert made.label.spec == base
    assert min(made.label.native) > 0, "what the template gives it"
    assert abs(made.label.created - time.time()) < 600
    assert made in world.backend.list()


def test_create_refuses_a_name_that_is_taken(world: World, base: InstanceSpec) -> None:
    before = _find(world, base)
    with pytest.raises(Error):
        world.backend.create(base, world.template)
    assert _find(world, base) == before


def test_somebody_elses_instance_has_no_label(world: World) -> None:
    name = world.spec("foreign").name
    world.make_foreign(name)
    found = world.backend.find(name)
    assert found == Instance(name, Status.STOPPED, None)
    assert found in world.backend.list()
    with pytest.raises(Error):
        world.backend.start(name)


# --- Its clone, not started yet ----------------------------------------------------------------------------------------


def test_clone_makes_a_stopped_copy_with_its_own_label(world: World, base: InstanceSpec, clone: InstanceSpec) -> None:
    made, source = _find(world, clone), _find(world, base)
    assert made.status is Status.STOPPED
    assert made.label is not None
    assert source.label is not None
    assert made.label.spec == clone
    assert made.label.native == source.label.native
    assert source.label.spec == base


def test_clone_refuses_a_name_that_is_taken(world: World, base: InstanceSpec, clone: InstanceSpec) -> None:
    before = _find(world, clone)
    with pytest.raises(Error):
        world.backend.clone(base.name, clone._replace(mounts=()))
    assert _find(world, clone) == before


def test_clone_refuses_a_smaller_disk_and_leaves_nothing(world: World, base: InstanceSpec) -> None:
    spec = world.spec("small")._replace(resources=Resources(disk=2**30))
    with pytest.raises(UsageError):
        world.backend.clone(base.name, spec)
    assert world.backend.find(spec.name) is None


def test_reconfigure_changes_a_stopped_instance(world: World, clone: InstanceSpec) -> None:
    changed = clone._replace(resources=Resources(cpus=1))
    world.backend.reconfigure(changed)
    found = _find(world, clone)
    assert found.label is not None
    assert found.label.spec == changed
    world.backend.reconfigure(clone)


def test_stop_does_nothing_when_stopped(world: World, clone: InstanceSpec) -> None:
    world.backend.stop(clone.name)
    world.backend.stop(clone.name, force=True)
    assert _find(world, clone).status is Status.STOPPED


@pytest.mark.parametrize("moment", ["while it copies", "before the label"])
def test_a_killed_clone_is_incomplete_and_can_be_made_again(world: World, base: InstanceSpec, moment: str) -> None:
    spec = world.spec("killed", world.directory("first"))

    def at(event: str, words: tuple[object, ...]) -> float | None:
        return _copying(event, words) if moment == "while it copies" else _labelling(event, words)

    assert call_and_kill(lambda: world.backend.clone(base.name, spec), at)
    _expect_incomplete(world, spec)
    world.backend.delete(spec.name)
    assert world.backend.find(spec.name) is None
    world.backend.clone(base.name, spec)
    assert _find(world, spec).status is Status.STOPPED
    world.backend.delete(spec.name)
    world.backend.delete(spec.name)
    assert world.backend.find(spec.name) is None


def test_nobody_knows_the_door_of_one_that_never_started(world: World, base: InstanceSpec) -> None:
    assert world.backend.door(base.name) is None
    assert world.backend.door(world.spec("nobody").name) is None


def test_a_stopped_one_forwards_nothing(world: World, clone: InstanceSpec) -> None:
    with pytest.raises(Error):
        world.backend.forwarded(clone.name)


# --- The clone, running, its source deleted ----------------------------------------------------------------------------


def test_find_starts_no_process_when_it_runs(world: World, running: InstanceSpec) -> None:
    with started_processes() as found:
        assert _find(world, running).status is Status.RUNNING
    assert found == []


def test_start_does_nothing_when_it_runs(world: World, running: InstanceSpec) -> None:
    before = _find(world, running)
    world.backend.start(running.name)
    assert _find(world, running) == before


def test_refuses_what_a_running_instance_cannot_have_done(world: World, running: InstanceSpec) -> None:
    with pytest.raises(Error):
        world.backend.clone(running.name, world.spec("copy"))
    with pytest.raises(Error):
        world.backend.reconfigure(running._replace(mounts=()))
    with pytest.raises(Error):
        world.backend.delete(running.name)
    found = _find(world, running)
    assert found.status is Status.RUNNING
    assert found.label is not None
    assert found.label.spec == running
    assert world.backend.find(world.spec("copy").name) is None


def test_run_returns_the_exit_status_and_both_streams(world: World, running: InstanceSpec) -> None:
    assert _run(world, running, "sh", "-c", "echo out; echo err >&2; exit 7") == (7, b"out\nerr\n")


def test_run_hands_over_words_as_they_are(world: World, running: InstanceSpec) -> None:
    expected = b"".join(word.encode() + b"\n--\n" for word in HOSTILE)
    assert _run(world, running, "printf", "%s\\n--\\n", *HOSTILE) == (0, expected)


def test_run_feeds_standard_input(world: World, running: InstanceSpec) -> None:
    content = bytes(range(256)) * 4000
    assert _run(world, running, "cat", stdin=content) == (0, content)


def test_run_ends_with_its_standard_input_unread(world: World, running: InstanceSpec) -> None:
    assert _run(world, running, "true", stdin=bytes(1_000_000)) == (0, b"")


def test_run_takes_commands_for_root(world: World, running: InstanceSpec) -> None:
    status, _ = _run(world, running, "sh", "-c", 'test "$(id -u)" = 0', root=True)
    assert status == 0


def test_run_gives_up_after_its_time(world: World, running: InstanceSpec) -> None:
    with pytest.raises(Error):
        world.backend.run(running.name, Command(("sleep", "60"), timeout=1), _ignore)
    assert _run(world, running, "true") == (0, b"")


def test_the_guest_shares_a_mounted_directory(world: World, running: InstanceSpec) -> None:
    point = Path(running.mounts[0].point)
    (point / "from-host").write_text("hello")
    script = f"cat '{point}/from-host' && echo back >'{point}/from-guest'"
    assert _run(world, running, "sh", "-c", script) == (0, b"hello")
    assert (point / "from-guest").read_text() == "back\n"


@pytest.mark.parametrize("status", [0, 7, 255])
def test_session_returns_the_exit_status(world: World, running: InstanceSpec, status: int) -> None:
    assert _session(world, running, f"exit {status}", is_open=True).status == status


def test_session_that_a_signal_ended_is_no_success(world: World, running: InstanceSpec) -> None:
    assert _session(world, running, "kill -9 $$", is_open=True).status > 0


def test_measure_tells_what_is_allocated_and_since_when(world: World, running: InstanceSpec) -> None:
    with started_processes() as found:
        usage = world.backend.measure(running.name)
    assert found == []
    below = [path for path in (world.instances / running.name).rglob("*") if not path.is_symlink()]
    assert 0 < usage.disk <= sum(path.stat().st_blocks * 512 for path in [world.instances / running.name, *below]) * 1.1
    assert abs(usage.since - time.time()) < 1800
    assert world.backend.measure(world.spec("nobody").name) == Usage(0, 0)


def test_tidy_leaves_what_is_used_alone(world: World, running: InstanceSpec) -> None:
    assert world.backend.tidy(running.name, rehearse=True) == ()
    assert world.backend.tidy(running.name) == ()
    assert _find(world, running).status is Status.RUNNING


def test_copy_home_writes_into_no_guest_that_sees_the_host(world: World, running: InstanceSpec) -> None:
    with pytest.raises(Error):
        world.backend.copy_home(running.name, running.name, lambda total: None)
    assert _run(world, running, "true") == (0, b"")


def test_session_passes_bytes_on(world: World, running: InstanceSpec) -> None:
    content = os.urandom(3_000_000)
    ended = _session(world, running, "echo aside >&2; cat", content, is_open=True)
    assert ended == Ended(0, content, b"aside\n")


def test_pipe_passes_bytes_both_ways_and_complaints_aside(world: World, running: InstanceSpec) -> None:
    content = os.urandom(3_000_000)
    with world.backend.pipe(running.name, ("sh", "-c", "echo aside >&2; cat; exit 7")) as piped:
        writer = threading.Thread(target=lambda: (piped.stdin.write(content), piped.stdin.close()))
        writer.start()
        assert piped.stdout.read() == content
        writer.join()
        assert piped.finish() == Completed(7, b"", b"aside\n")


def test_pipe_hands_over_words_as_they_are(world: World, running: InstanceSpec) -> None:
    with world.backend.pipe(running.name, ("printf", "%s\\n--\\n", *HOSTILE)) as piped:
        assert piped.stdout.read() == b"".join(word.encode() + b"\n--\n" for word in HOSTILE)


def test_pipe_tells_that_nobody_reads_any_more(world: World, running: InstanceSpec) -> None:
    with world.backend.pipe(running.name, ("sh", "-c", "exit 3")) as piped:
        with pytest.raises(BrokenPipeError):
            piped.stdin.writelines(itertools.repeat(bytes(100_000)))
        assert piped.finish().status == 3


def test_pipe_ends_its_program_with_the_block(world: World, running: InstanceSpec) -> None:
    with pytest.raises(KeyboardInterrupt), world.backend.pipe(running.name, ("cat",)):
        raise KeyboardInterrupt
    with world.backend.pipe(running.name, ("sh", "-c", "while :; do echo much; done")) as piped:
        assert piped.stdout.read(5) == b"much\n"
    assert _run(world, running, "true") == (0, b"")


def test_the_door_leads_to_ssh(world: World, running: InstanceSpec) -> None:
    with world.answer_at_the_door(running), started_processes() as started:
        door = world.backend.door(running.name)
        assert door
        with socket.create_connection(("127.0.0.1", door.port), timeout=20) as caller:
            assert caller.recv(100).startswith(b"SSH-2.0-")
    assert started == []
    assert door.user
    assert os.path.isabs(door.identity)


def test_ports_that_a_guest_opens_are_forwarded(world: World, running: InstanceSpec) -> None:
    with world.backend.pipe(running.name, ("python3", "-c", LISTENING)) as piped:
        port = int(piped.stdout.readline())
        deadline = time.monotonic() + 60
        while port not in world.backend.forwarded(running.name):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        with socket.create_connection(("127.0.0.1", port), timeout=20) as caller:
            assert caller.recv(100) == b"hello"
        piped.stdin.close()
        assert piped.finish().status == 0
    assert 1 not in world.backend.forwarded(running.name)


# --- Again, with other mounts ------------------------------------------------------------------------------------------


def test_reconfigure_keeps_the_disk(world: World, again: InstanceSpec) -> None:
    assert _run(world, again, "sh", "-c", "cat ~/kept") == (0, b"kept\n")


def test_a_killed_start_comes_back_with_the_new_mounts(world: World, again: InstanceSpec) -> None:
    found = _find(world, again)
    assert found.status is Status.RUNNING
    assert found.label is not None
    assert found.label.spec == again
    point = again.mounts[0].point
    assert _run(world, again, "touch", f"{point}/new") == (0, b"")
    assert Path(point, "new").exists()


def test_a_session_script_is_on_no_command_line(world: World, again: InstanceSpec) -> None:
    ended = _session(world, again, ": hunter2; ps -A -o args=; exit 3", is_open=False)
    assert ended.status == 3
    assert b"ps -A" in ended.out
    assert b"hunter2" not in ended.out


def test_stop_and_delete_leave_nothing(world: World, again: InstanceSpec) -> None:
    world.backend.stop(again.name)
    assert _find(world, again).status is Status.STOPPED
    world.backend.stop(again.name)
    world.backend.delete(again.name)
    assert world.backend.find(again.name) is None
    world.backend.delete(again.name)


# --- Steps -------------------------------------------------------------------------------------------------------------


def _find(world: World, spec: InstanceSpec) -> Instance:
    found = world.backend.find(spec.name)
    assert found is not None
    return found


def _expect_incomplete(world: World, spec: InstanceSpec) -> None:
    """Or absent, when it was killed that early."""
    found = world.backend.find(spec.name)
    assert found is None or found.status is Status.INCOMPLETE
    listed = [instance for instance in world.backend.list() if instance.name == spec.name]
    assert all(instance.status is Status.INCOMPLETE for instance in listed)


def _run(world: World, spec: InstanceSpec, *words: str, stdin: bytes = b"", root: bool = False) -> tuple[int, bytes]:
    said: list[bytes] = []
    status = world.backend.run(spec.name, Command(words, stdin, root, timeout=120), said.append)
    return status, b"".join(said)


def _session(world: World, spec: InstanceSpec, script: str, stdin: bytes = b"", *, is_open: bool) -> Ended:
    session = Session(script, terminal=False, token=os.urandom(8).hex(), open=is_open)
    return call_in_child(lambda: world.backend.session(spec.name, session), stdin)


def _copying(event: str, words: tuple[object, ...]) -> float | None:
    if event == "shutil.copytree":
        return 0
    return 0.3 if _starts(event, words, "clone") else None


def _labelling(event: str, words: tuple[object, ...]) -> float | None:
    return 0 if event == "os.rename" and str(words[1]).endswith("agentvm.json") else None


def _starting(event: str, words: tuple[object, ...]) -> float | None:
    if event == "os.rename" and str(words[1]).endswith("/status"):
        return 0
    return 0.5 if _starts(event, words, "start") else None


def _starts(event: str, words: tuple[object, ...], command: str) -> bool:
    return event == "subprocess.Popen" and isinstance(words[1], list) and command in words[1]


def _ignore(data: bytes) -> None:
    """Nobody wants to see it."""
