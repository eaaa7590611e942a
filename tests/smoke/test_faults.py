"""What breaks around a running agentvm, on real Lima: whatever it is, the next command brings the VM back with its disk.

The tests are stages of one VM's life and stand in its order, since each boot takes long: four boots. That agentvm itself is
killed while it makes, provisions, clones and starts is shown in test_lifecycle.py.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.smoke.computer import PATIENCE, Computer, program
from tests.tables import Record

pytestmark = pytest.mark.faults
LOOK = "cat ~/kept"


class Victim:
    """A project with its VM, and what is behind it."""

    def __init__(self, computer: Computer) -> None:
        self.computer = computer
        self.path = computer.project("faults")
        self.name = str(computer.status(self.path)["instance"])
        self.directory = computer.lima_home / self.name

    def shell(self, script: str) -> str:
        return self.computer.shell(self.path, script)

    def pid(self, file: str) -> int:
        return int((self.directory / file).read_text())

    def machine(self) -> int:
        """The process id of what runs the machine: QEMU, or on a Mac the hostagent."""
        (file,) = (path for path in self.directory.glob("*.pid") if not path.name.startswith(("ha.", "virtiofsd")))
        return self.pid(file.name)

    def master(self) -> int:
        """The process id of the master of agentvm's shared connection."""
        check = ["ssh", "-S", str(self.directory / "avm.sock"), "-O", "check", "any"]
        said = subprocess.run(check, check=True, capture_output=True, text=True, timeout=60).stderr
        return int(said.partition("pid=")[2].partition(")")[0])

    def stub(self, name: str, text: str) -> str:
        """A limactl that does something else first."""
        path = self.computer.directory / name
        path.write_text(f'#!/bin/sh\n{text}\nexec {self.computer.limactl} "$@"\n')
        path.chmod(0o755)
        return str(path)

    def session(self, script: str) -> subprocess.Popen[bytes]:
        """A session that runs until its end is waited for; it has said its first line."""
        process = subprocess.Popen(
            [*program(), "shell", "--", "sh", "-c", script],
            cwd=self.path,
            env=self.computer.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        return process


def kill(pid: int) -> None:
    """End it, and wait until it has: the kernel takes a moment for a large program, in which it counts as running."""
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE
    with suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.kill(pid, 0)
            time.sleep(0.05)


@pytest.fixture(scope="module")
def victim(computer: Computer, base: str) -> Iterator[Victim]:
    made = Victim(computer)
    yield made
    computer.ok(made.path, "rm", "--force")


# --- Before there is a VM ----------------------------------------------------------------------------------------------


def test_a_disk_that_is_full_while_it_clones(computer: Computer, victim: Victim, record: Record) -> None:
    """Simulated: limactl may write no file of more than 64 MiB, so the copy of the disk fails half-way."""
    full = victim.stub("full", "case $1 in clone) ulimit -f 131072 ;; esac")
    done = computer.run(victim.path, "shell", "--", "true", AGENTVM_LIMACTL=full)
    assert done.status == 1, done
    assert "limactl clone failed" in done.err
    assert not victim.directory.exists()
    record("a full disk (a limit on the size of files) while it clones", "an error, and nothing left")


def test_limactl_delete_behind_our_back(computer: Computer, victim: Victim, record: Record) -> None:
    computer.kill_at(victim.path, f"start {victim.name}", "shell", "--", "true")
    computer.lima("delete", "--force", victim.name)
    victim.shell("echo kept >~/kept && sync")
    record("`limactl delete` behind agentvm's back", "the next run made a new VM")


# --- Its first life: what hangs ----------------------------------------------------------------------------------------


def test_a_limactl_that_hangs(computer: Computer, victim: Victim, record: Record) -> None:
    stub = victim.stub("hanging", "case $1 in list | stop) sleep 600 ;; esac")
    for words in (("list",), ("stop",)):
        done = computer.run(victim.path, *words, AGENTVM_LIMACTL=stub, AGENTVM_LIMACTL_TIMEOUT="2")
        assert done.status == 1, done
        assert "did not end in 2 seconds" in done.err
        assert "AGENTVM_LIMACTL_TIMEOUT gives it more" in done.err
    assert victim.shell(LOOK) == "kept"
    record("a limactl that hangs", "stopped in its time, naming the setting that lengthens it", tried=2)


def test_a_master_of_ssh_that_hangs_and_one_that_died(computer: Computer, victim: Victim, record: Record) -> None:
    hung = victim.master()
    os.kill(hung, signal.SIGSTOP)
    try:
        assert victim.shell(LOOK) == "kept"
    finally:
        os.kill(hung, signal.SIGKILL)
    kill(victim.master())
    assert victim.shell(LOOK) == "kept"
    record("a stale ssh socket: its master hangs, or was killed", "connected anew, without a boot", tried=2)


# --- What dies ---------------------------------------------------------------------------------------------------------


def test_kill_9_of_the_hostagent_loses_nothing(computer: Computer, victim: Victim, record: Record) -> None:
    """The guest lives, and has not written the file to its disk."""
    victim.shell("echo unsynced >~/late")
    kill(victim.pid("ha.pid"))
    done = computer.ok(victim.path, "shell", "--", "sh", "-c", f"{LOOK} ~/late")
    assert done.out == b"kept\nunsynced\n"
    assert "shut down from inside" in done.err
    record("kill -9 of the hostagent", "shut down from inside and started; nothing unsynced was lost")


def test_kill_9_of_the_machine_and_pid_files_of_a_stranger(computer: Computer, victim: Victim, record: Record) -> None:
    """As after a crash of the host: by its next boot, the numbers are another program's."""
    session = victim.session("echo ready; sleep 600")
    hostagent = victim.pid("ha.pid")
    files = [path for path in victim.directory.glob("*.pid") if not path.name.startswith("virtiofsd")]
    machine = victim.machine()
    kill(hostagent)
    kill(machine)
    said = session.communicate(timeout=PATIENCE)[1].decode()
    assert session.returncode == 1, said
    assert "The connection was lost" in said
    with subprocess.Popen(["sleep", "1000"]) as stranger:
        for path in files:
            path.write_text(f"{stranger.pid}\n")
        assert victim.shell(LOOK) == "kept"
        assert stranger.poll() is None, "it was killed"
        stranger.kill()
    record("kill -9 of QEMU (and the hostagent) in a session", "the session says so, and the next run starts it")
    record("ha.pid and qemu.pid have another program's number", "that program lives; the VM is started")


def test_poweroff_in_the_guest_during_a_session(computer: Computer, victim: Victim, record: Record) -> None:
    session = victim.session("echo ready; sudo systemctl poweroff; sleep 600")
    said = session.communicate(timeout=PATIENCE)[1].decode()
    assert session.returncode == 1, said
    assert "The connection was lost" in said
    assert victim.shell(LOOK) == "kept"
    record("`poweroff` in the guest", "the session says so, and the next run starts it")


def test_kill_9_of_agentvm_while_it_stops(computer: Computer, victim: Victim, record: Record) -> None:
    computer.kill_at(victim.path, f"stop {victim.name}", "stop", later=1)
    computer.ok(victim.path, "stop")
    assert computer.status(victim.path)["status"] == "stopped"
    record("kill -9 of agentvm while it stops", "the next `stop` ends well")
