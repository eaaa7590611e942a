from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from agentvm.lima.directory import Directory
from agentvm.lima.stages import describe


@pytest.fixture
def directory(home: Path) -> Directory:
    path = home / ".lima" / "web"
    path.mkdir(parents=True)
    return Directory(str(path))


def log(directory: Directory, *messages: str) -> None:
    Path(directory.path, "lima.yaml").touch()
    lines = (json.dumps({"level": "info", "msg": message, "time": "2026-11-24T20:24:26Z"}) for message in messages)
    Path(directory.log).write_text("".join(f"{line}\n" for line in lines))


@pytest.mark.parametrize(
    ("messages", "stage"),
    [
        ((), ""),
        (("Using internal driver `qemu`",), "booting"),
        (("Waiting for the essential requirement 1 of 3: `ssh`",), "booting, essential step 1 of 3: ssh"),
        (('Waiting for the essential requirement 1 of 3: "ssh"', "other"), "booting, essential step 1 of 3: ssh"),
        (
            (
                "Waiting for the essential requirement 1 of 3",
                "Waiting for the final requirement 1 of 1: `boot scripts`",
            ),
            "booting, final step 1 of 1: boot scripts",
        ),
    ],
)
def test_what_lima_waits_for(home: Path, directory: Directory, messages: tuple[str, ...], stage: str) -> None:
    log(directory, *messages)
    assert describe(directory, str(home)) == stage


def test_only_the_end_of_a_long_log_is_read(home: Path, directory: Directory) -> None:
    log(directory, *["Waiting for the essential requirement 1 of 3: `ssh`"] * 5000, *["x" * 500] * 100)
    assert describe(directory, str(home)) == "booting"


@pytest.mark.parametrize("text", ["[" * 100_000, "{", '{"msg": 5}', '["msg"]', "\udcff", "\0"])
def test_a_log_that_is_none(home: Path, directory: Directory, text: str) -> None:
    log(directory)
    Path(directory.log).write_bytes(os.fsencode(text) + b"\n")
    assert describe(directory, str(home)) == "booting"


def test_a_disk_in_the_making(home: Path, directory: Directory) -> None:
    assert describe(directory, str(home)) == ""
    Path(directory.path, "disk").write_bytes(b"x" * 3 * 2**20)
    assert describe(directory, str(home)) == "3 MiB written"


@pytest.mark.parametrize("name", ["data.part", "data.tmp.123.1"])
def test_an_image_on_its_way(home: Path, directory: Directory, name: str) -> None:
    download = home / ".cache/lima/download/by-url-sha256/abc"
    download.mkdir(parents=True)
    (download / "data").write_bytes(b"x")
    assert describe(directory, str(home)) == ""
    (download / name).write_bytes(b"x" * 5 * 2**20)
    assert describe(directory, str(home)) == "downloading the image, 5 MiB"


def test_nothing_is_there(home: Path) -> None:
    assert describe(Directory(str(home / "gone")), str(home)) == ""
