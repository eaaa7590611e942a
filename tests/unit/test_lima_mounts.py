"""The script that puts mounts in their places, under a real sh with stubs in the place of mount and mountpoint."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from agentvm.lima.mounts import placing_script
from agentvm.lima.template import lima_point
from agentvm.model import Mount


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    directory = tmp_path / "programs"
    directory.mkdir()
    stubs = {"mountpoint": 'grep -qxF -e "$2" "$MOUNTED"', "mount": 'printf "%s\\n" "$@" >"$MOUNTED.bound"'}
    stubs["findmnt"] = 'while read -r point; do echo "tag-${point##*/} $point"; done <"$MOUNTED"; printf "%s" "$OTHERS"'
    for name, text in stubs.items():
        (directory / name).write_text(f"#!/bin/sh\n{text}\n")
        (directory / name).chmod(0o755)
    return directory


def place(
    programs: Path, *mounts: Mount, mounted: tuple[str, ...], others: str = ""
) -> subprocess.CompletedProcess[str]:
    list_of_them = programs.parent / "mounted"
    list_of_them.write_text("".join(f"{point}\n" for point in mounted))
    return subprocess.run(
        ["sh", "-s"],
        input=placing_script(mounts),
        env={"PATH": f"{programs}:{os.environ['PATH']}", "MOUNTED": str(list_of_them), "OTHERS": others},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def bound(programs: Path) -> list[str]:
    path = programs.parent / "mounted.bound"
    return path.read_text().splitlines() if path.exists() else []


def test_plain_places_are_only_looked_at(programs: Path) -> None:
    mounts = (Mount("/a", "/a", True), Mount("/b", "/b", False))
    done = place(programs, *mounts, mounted=("/a", "/b"))
    assert (done.returncode, done.stdout, bound(programs)) == (0, "", [])


def test_a_missing_mount_is_named(programs: Path) -> None:
    done = place(programs, Mount("/a", "/a", True), Mount("/b", "/b", False), mounted=("/a",))
    assert (done.returncode, done.stdout) == (1, "/b is not mounted\n")


@pytest.mark.parametrize("name", ["a b", "it's", "ü", "$HOME", "`id`", "%s", "*"])
def test_other_places_are_bound(programs: Path, tmp_path: Path, name: str) -> None:
    mount = Mount("/x", str(tmp_path / "guest" / name), True)
    done = place(programs, mount, mounted=(lima_point(mount),))
    assert (done.returncode, done.stdout) == (0, "")
    assert bound(programs) == ["--bind", lima_point(mount), mount.point]
    assert Path(mount.point).is_dir()


def test_a_place_that_can_not_be_bound_is_named(programs: Path, tmp_path: Path) -> None:
    (programs / "mount").write_text("#!/bin/sh\nexit 32\n")
    mount = Mount("/x", str(tmp_path / "a b"), True)
    done = place(programs, mount, mounted=(lima_point(mount),))
    assert (done.returncode, done.stdout) == (1, f"{mount.point} could not be bound\n")


def test_a_missing_mount_is_named_by_its_own_place(programs: Path, tmp_path: Path) -> None:
    done = place(programs, Mount("/x", str(tmp_path / "a b"), True), mounted=())
    assert done.stdout == f"{tmp_path}/a b is not mounted\n"


@pytest.mark.parametrize("wanted", [(Mount("/a", "/a", True),), ()])
def test_a_share_that_nobody_asked_for_is_named(programs: Path, wanted: tuple[Mount, ...]) -> None:
    mounted = tuple(mount.point for mount in wanted)
    done = place(programs, *wanted, mounted=mounted, others="tag-home /home/x\\x20y\n")
    assert (done.returncode, done.stdout) == (2, "/home/x\\x20y is mounted, too\n")


def test_a_share_at_a_second_place_is_the_guests_own_business(programs: Path) -> None:
    others = "tag-a /home/guest/elsewhere\nvz-rosetta /mnt/lima-rosetta\n"
    done = place(programs, Mount("/a", "/a", True), mounted=("/a",), others=others)
    assert (done.returncode, done.stdout) == (0, "")
