"""Whose the numbers in pid files are, with real processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agentvm.lima.directory import Directory
from agentvm.lima.processes import forget_strangers, machine_lives
from agentvm.model import Host

Start = Callable[..., int]


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    (tmp_path / "p-web").mkdir()
    return Directory(str(tmp_path / "p-web"))


@pytest.fixture(params=["linux", "darwin"])
def host(host: Host, request: pytest.FixtureRequest) -> Host:
    """With its own way of telling what runs; a Mac's works on Linux, too."""
    return host._replace(platform=request.param)


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a process that has these words on its command line, and return its id."""
    started = []

    def begin(*words: str) -> int:
        argv = [sys.executable, "-S", "-c", "print(flush=True), input()", *words]
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout
        # Right after its start it has no command line yet.
        process.stdout.readline()
        return process.pid

    yield begin
    for process in started:
        assert process.poll() is None, "somebody ended it"
        process.kill()
        with process:
            pass


def write(directory: Directory, **pids: int) -> None:
    for name, pid in pids.items():
        Path(directory.path, f"{name}.pid").write_text(f"{pid}\n")


def test_the_instances_own_are_left_alone(directory: Directory, host: Host, start: Start) -> None:
    write(directory, ha=start("hostagent", f"{directory.path}/ha.pid"), qemu=start("-disk", f"{directory.path}/disk"))
    before = directory.pids()
    forget_strangers(directory, host)
    assert directory.pids() == before
    assert machine_lives(directory, host)


def test_another_program_with_the_number_is_forgotten_and_lives(directory: Directory, host: Host, start: Start) -> None:
    write(directory, ha=start("an editor"), qemu=start(f"{directory.path}-2/disk"))
    assert not machine_lives(directory, host)
    forget_strangers(directory, host)
    assert directory.pids() == {}


def test_a_number_of_nobody_is_forgotten(directory: Directory, host: Host) -> None:
    ended = subprocess.Popen(["true", f"{directory.path}/disk"])
    ended.wait()
    write(directory, qemu=ended.pid)
    forget_strangers(directory, host)
    assert directory.pids() == {}


def test_hostagent_and_virtiofsd_are_no_machine(directory: Directory, host: Host, start: Start) -> None:
    write(directory, ha=start(f"{directory.path}/ha.pid"))
    Path(directory.path, "virtiofsd-0.pid").write_text(str(start(f"{directory.path}/virtiofsd-0.sock")))
    assert not machine_lives(directory, host)
    forget_strangers(directory, host)
    assert len(directory.pids()) == 2


def test_without_a_directory(directory: Directory, host: Host) -> None:
    directory.remove()
    forget_strangers(directory, host)
    assert not machine_lives(directory, host)
