"""From a cold machine to an agent in its own VM and back to nothing, on real Lima, by agentvm's command line alone.

The tests are stages of one story and stand in its order, since each boot takes long: the base is made once, and most
stages use the same project's VM. Seven boots.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.smoke.computer import KEPT_PREFIX, Computer, expected_mount_type, program, remove_base
from tests.smoke.terminal import SIZE, terminal
from tests.tables import Record

MEGABYTES = os.urandom(10_000_000)
MACS_SSH = """\
Host *
  UseKeychain yes
  IdentityAgent "~/Library/Group Containers/2BUA8C4S2C.com.1password/t/agent.sock"
Host github.com
  User resident
"""


FOREIGN = "foreign-1a2b3c4d"
"""The name, after the prefix, of an instance that looks like a project's and is not agentvm's."""


@pytest.fixture(scope="module")
def foreign(computer: Computer) -> str:
    """Somebody else's instance, whose name looks like one of ours."""
    name = f"{computer.prefix}-{FOREIGN}"
    template = computer.environment.get("AGENTVM_BASE_TEMPLATE", "template:_images/ubuntu-24.04")
    computer.lima("create", "--tty=false", "--name", name, template)
    return name


@pytest.fixture(scope="module")
def base(computer: Computer, foreign: str) -> Iterator[str]:
    """A base of its own, after its making was killed while it started and while it was provisioned."""
    name = f"{computer.prefix}-base"
    remove_base(computer)
    if not os.environ.get(KEPT_PREFIX):
        computer.kill_at(computer.directory, f"start {name}", "base", "init", later=5)
        computer.kill_at(computer.directory, "[2/", "base", "init", later=3)
    computer.ok(computer.directory, "base", "init")
    yield name
    remove_base(computer)


@pytest.fixture(scope="module")
def golden(computer: Computer, base: str) -> str:
    """What projects are cloned from. Its number depends on what ran before."""
    (name,) = (name for name, entry in computer.instances().items() if entry["role"] == "golden")
    return name


@pytest.fixture(scope="module")
def project(computer: Computer, golden: str) -> Path:
    """A project with its VM, after its making was killed while it was cloned and while it started."""
    path = computer.project("web")
    # So that what is below belongs to the project.
    (path / ".git").mkdir()
    (computer.home / ".gitconfig").write_text("[user]\n\tname = First\n")
    computer.kill_at(path, f"clone {golden} to", "shell", "--", "true", later=0.5)
    computer.kill_at(path, f"start {computer.prefix}-web", "shell", "--", "true", later=1)
    computer.ok(path, "shell", "--", "true")
    return path


# --- From nothing to a warm run ----------------------------------------------------------------------------------------


@pytest.mark.faults
def test_base_init_heals_after_kill_9_at_start_and_provisioning(
    computer: Computer, base: str, golden: str, record: Record
) -> None:
    instances = computer.instances()
    assert {name: entry["role"] for name, entry in instances.items()} == {base: "base", golden: "golden"}
    assert all(entry["status"] == "stopped" for entry in instances.values())
    assert "there already" in computer.ok(computer.directory, "base", "init").err
    if not os.environ.get(KEPT_PREFIX):
        record("kill -9 of agentvm while the base starts and is provisioned", "the next `base init` ends well", tried=2)


@pytest.mark.faults
def test_first_run_heals_after_kill_9_at_clone_and_start(computer: Computer, project: Path, record: Record) -> None:
    assert computer.status(project)["status"] == "running"
    assert len(computer.instances()) == 3, "and nothing is left of the killed ones"
    record("kill -9 of agentvm while it clones and starts", "the next run ends well", tried=2)


def test_second_run_is_one_ssh_and_no_limactl(computer: Computer, project: Path) -> None:
    log = computer.directory / "spied"
    spies = computer.directory / "spies"
    spies.mkdir()
    for name in ("ssh", "limactl"):
        _write_spy(spies / name, log)
    path = f"{spies}:{computer.environment['PATH']}"
    done = computer.ok(project, "shell", "--", "echo", "hi", PATH=path, AGENTVM_LIMACTL=str(spies / "limactl"))
    assert done.out == b"hi\n"
    assert log.read_text().split() == ["ssh"]


def test_exit_statuses_come_back(computer: Computer, project: Path) -> None:
    assert computer.run(project, "shell", "--", "sh", "-c", "exit 7").status == 7
    assert computer.run(project, "shell", "--", "sh", "-c", "kill -9 $$").status > 0


def test_ten_megabytes_come_back_identical(computer: Computer, project: Path) -> None:
    assert computer.ok(project, "shell", "--", "cat", stdin=MEGABYTES).out == MEGABYTES


def test_the_project_is_shared_at_its_own_path_by_virtiofs(computer: Computer, project: Path) -> None:
    inside = project / "src"
    inside.mkdir()
    assert computer.shell(inside, "pwd; echo hello >from-guest") == str(inside)
    assert (inside / "from-guest").read_text() == "hello\n"
    assert _mount_type(computer, project) == expected_mount_type(computer)


def test_gitconfig_is_synced_changed_and_removed(computer: Computer, project: Path) -> None:
    ask = "git config --global user.name"
    assert computer.shell(project, ask) == "First"
    (computer.home / ".gitconfig").write_text("[user]\n\tname = Second\n")
    assert computer.shell(project, ask) == "Second"
    off = {"AGENTVM_MOUNT_GITCONFIG": "0"}
    assert computer.shell(project, "ls -A ~ | grep -cx .gitconfig || true", **off) == "0"


def test_the_guests_own_gitconfig_is_never_touched(computer: Computer, project: Path) -> None:
    off = {"AGENTVM_MOUNT_GITCONFIG": "0"}
    ask = "git config --global user.name"
    computer.shell(project, f"{ask} Guest", **off)
    assert computer.shell(project, ask) == "Guest"
    assert computer.shell(project, ask, **off) == "Guest"
    computer.shell(project, "rm ~/.gitconfig", **off)


TRAPS = """\
git config core.fsmonitor "touch monitored; :"
printf '#!/bin/sh\\ntouch hooked\\n' >.git/hooks/post-checkout
chmod +x .git/hooks/post-checkout
"""


def test_what_a_session_left_for_the_host_to_run_is_reported_and_put_back(computer: Computer, project: Path) -> None:
    """git of the host really runs it, before `review` puts it back and not after."""
    for words in (["init"], ["commit", "--allow-empty", "--message", "first"]):
        done = computer.host(project, "git", "-c", "user.name=A", "-c", "user.email=a@b.c", *words)
        assert done.status == 0, done
    computer.ok(project, "shell", "--", "true", stdin=b"")
    computer.ok(project, "review", "--accept")
    done = computer.ok(project, "shell", "--", "sh", "-c", TRAPS, stdin=b"")
    assert "While this session ran" in done.err
    assert ".git/config: changed" in done.err
    assert "+ core.fsmonitor = touch monitored; :" in done.err
    assert ".git/hooks/post-checkout: new" in done.err
    assert _runs(computer, project) == {"hooked", "monitored"}
    shown = computer.run(project, "review")
    assert shown.status == 1
    assert b"+ touch hooked" in shown.out
    computer.ok(project, "review", "--restore")
    assert computer.ok(project, "review").out == b""
    assert _runs(computer, project) == set()
    assert not (project / ".git/hooks/post-checkout").exists()
    assert computer.host(project, "git", "config", "core.fsmonitor").out == b""


def _runs(computer: Computer, repository: Path) -> set[str]:
    """What is executed by the host's git when its user looks at the state and checks something out."""
    for words in (["status"], ["checkout", "--quiet", "--detach"]):
        computer.host(repository, "git", *words)
    left = {path for path in (repository / "hooked", repository / "monitored") if path.exists()}
    for path in left:
        path.unlink()
    return {path.name for path in left}


def test_a_dev_server_of_the_guest_answers_on_the_host(computer: Computer, project: Path) -> None:
    port = _free_port(8123)
    (project / "index.html").write_text("served by the guest")
    server = f"setsid nohup python3 -m http.server {port} --bind 127.0.0.1 >/dev/null 2>&1 </dev/null &"
    computer.shell(project, server)
    assert _fetch(f"http://127.0.0.1:{port}/") == b"served by the guest"


# --- Agents ------------------------------------------------------------------------------------------------------------


def test_gh_answers(computer: Computer, project: Path) -> None:
    assert computer.ok(project, "gh", "--version").out.startswith(b"gh version")


@pytest.mark.parametrize("agent", ["claude", "codex", "opencode"])
def test_agent_is_installed_and_answers(computer: Computer, project: Path, agent: str) -> None:
    assert re.search(rb"\d+\.\d+\.\d+", computer.ok(project, agent, "--version").out)


# --- At a terminal -----------------------------------------------------------------------------------------------------


def test_the_window_size_is_right_from_the_first_byte(computer: Computer, project: Path) -> None:
    with terminal([*program(), "shell", "--", "stty", "size"], project, computer.environment) as user:
        assert user.rest().split() == [b"%d" % number for number in SIZE]
        assert user.wait() == 0


def test_ctrl_c_reaches_the_program(computer: Computer, project: Path) -> None:
    script = 'trap "echo caught; exit 5" INT; echo ready; while :; do sleep 1; done'
    with terminal([*program(), "shell", "--", "sh", "-c", script], project, computer.environment) as user:
        user.expect(b"ready")
        user.type(b"\x03")
        user.expect(b"caught")
        user.rest()
        assert user.wait() == 5


def test_ctrl_z_and_fg_under_an_interactive_shell(computer: Computer, project: Path) -> None:
    script = 'echo rea""dy; read x; echo got-$x'
    command = shlex.join([*program(), "shell", "--", "sh", "-c", script])
    environment = computer.environment | {"PS1": "prompt> "}
    with terminal(["bash", "--norc", "--noprofile", "-i"], project, environment) as user:
        user.type(command.encode() + b"\r")
        user.expect(b"ready")
        user.type(b"\x1a")
        user.expect(b"Stopped")
        user.type(b"echo in-$((40+2))-between\r")
        user.expect(b"in-42-between")
        user.type(b"fg\r")
        user.expect(b"sh -c")
        user.type(b"hello\r")
        user.expect(b"got-hello")
        user.expect(b"prompt> ")
        user.type(b"echo status-$?-\r")
        user.expect(b"status-0-")
        user.type(b"exit\r")
        user.rest()
        user.wait()


# --- A toggle, in place ------------------------------------------------------------------------------------------------


def test_the_home_survives_a_toggle_of_mount_ssh(computer: Computer, project: Path) -> None:
    keys = computer.home / ".ssh"
    keys.mkdir(mode=0o700, exist_ok=True)
    (keys / "id_test").write_text("a key\n")
    (keys / "config").write_text(MACS_SSH)
    computer.shell(project, "echo kept >~/kept")
    look = "cat ~/kept ~/.ssh/id_test; ssh -G github.com | grep -E '^(user|identityagent) '"
    seen = computer.shell(project, look, AGENTVM_MOUNT_SSH="1").splitlines()
    assert seen == ["kept", "a key", "user resident", "identityagent SSH_AUTH_SOCK"]
    assert computer.shell(project, "cat ~/kept; ls ~/.ssh") == "kept\nauthorized_keys"


# --- The base changes --------------------------------------------------------------------------------------------------


def test_base_apply_names_the_script_that_fails_and_its_status(computer: Computer, project: Path) -> None:
    manifest = _manifest(computer, "failing", {"80-early.sh": "touch /etc/unsnapshotted", "90-fails.sh": "exit 3"})
    done = computer.run(project, "base", "apply", AGENTVM_BASE_MANIFEST_DIR=str(manifest))
    assert done.status == 1
    assert "90-fails.sh ended with status 3" in done.err


def test_base_reset_takes_an_unsnapshotted_change_back(computer: Computer, project: Path, base: str) -> None:
    computer.ok(project, "base", "reset")
    assert computer.instances()[base]["status"] == "stopped"
    # It fails if the reset left the file of the stage before.
    scripts = {"80-reset.sh": "test ! -e /etc/unsnapshotted", "90-change.sh": "echo changed >/etc/change"}
    manifest = _manifest(computer, "changed", scripts)
    computer.ok(project, "base", "apply", AGENTVM_BASE_MANIFEST_DIR=str(manifest))


def test_base_snapshot_tells_the_older_project(computer: Computer, project: Path, golden: str) -> None:
    assert str(project) in computer.ok(project, "base", "snapshot").err
    assert golden not in computer.instances()
    done = computer.ok(project, "shell", "--", "sh", "-c", "ls /etc/change || true")
    assert "older than the base" in done.err
    assert done.out == b""
    assert computer.status(project)["older_than_base"] is True


def test_a_new_project_has_the_change_at_a_path_with_quotes_by_9p(computer: Computer, project: Path) -> None:
    other = _user_without_virtiofs(computer)
    path = other.project("it's a second one & more")
    assert other.shell(path, "pwd; cat /etc/change; echo hello >from-guest").split("\n") == [str(path), "changed"]
    assert (path / "from-guest").read_text() == "hello\n"
    assert _mount_type(other, path) == expected_mount_type(other)


# --- The end -----------------------------------------------------------------------------------------------------------


def test_rm_and_prune_leave_a_foreign_instance_alone(computer: Computer, project: Path, foreign: str) -> None:
    before = _fingerprint(computer.lima_home / foreign)
    refused = computer.run(project, "rm", foreign)
    assert refused.status == 1
    assert "left alone" in refused.err
    computer.ok(project, "stop")
    computer.ok(project, "prune")
    assert foreign not in computer.instances()
    assert _fingerprint(computer.lima_home / foreign) == before


def test_prune_removes_stopped_projects_and_those_that_are_gone(computer: Computer) -> None:
    """The first one was stopped; the second one runs, and its directory goes away."""
    (second,) = (entry for entry in computer.instances().values() if entry["role"] == "project")
    assert second["status"] == "running"
    shutil.rmtree(second["project"])
    computer.ok(computer.directory, "prune")
    assert {entry["role"] for entry in computer.instances().values()} == {"base", "golden"}


def test_rm_removes_what_is_left(computer: Computer, foreign: str) -> None:
    for name in computer.instances():
        computer.ok(computer.directory, "rm", name)
    assert computer.instances() == {}
    assert [path.name for path in computer.own_directories()] == [foreign]


# --- Steps -------------------------------------------------------------------------------------------------------------


def _write_spy(path: Path, log: Path) -> None:
    """A program that writes its name down and then becomes the real one."""
    real = shutil.which(path.name)
    path.write_text(f'#!/bin/sh\necho {path.name} >>{shlex.quote(str(log))}\nexec {real} "$@"\n')
    path.chmod(0o755)


def _mount_type(computer: Computer, project: Path) -> str:
    return computer.shell(project, 'findmnt -n -o FSTYPE --target "$PWD"')


def _user_without_virtiofs(computer: Computer) -> Computer:
    """Another user of the same instances."""
    return Computer(computer.directory, computer.prefix, "other")


def _manifest(computer: Computer, name: str, scripts: dict[str, str]) -> Path:
    """A manifest of few packages, all of which are there: the default one was seen by `base init`."""
    path = computer.directory / name
    (path / "scripts").mkdir(parents=True)
    (path / "apt-packages.txt").write_text("git  # and nothing else\n")
    for script, text in scripts.items():
        (path / "scripts" / script).write_text(f"#!/bin/sh\nset -e\n{text}\n")
    return path


def _free_port(wanted: int) -> int:
    """The one that is wanted, or another one if somebody has it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _fetch(url: str) -> bytes:
    """What the server says as soon as it is there."""
    deadline = time.monotonic() + 300
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return bytes(answer.read())
        except OSError:
            assert time.monotonic() < deadline, f"{url} does not answer"
            time.sleep(1)


def _fingerprint(directory: Path) -> list[tuple[str, int, int]]:
    return sorted((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in directory.iterdir())
