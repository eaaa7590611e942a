"""A project's VM moves to a newer base, and then with its project to another directory, on real Lima.

One story in the order of its stages, and four boots: the VM, the base for its snapshot, the VM that replaces it, and that
one in its new place.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.smoke.computer import Computer

WRITE = """\
set -e
mkdir -p ~/deep/er
head -c 30000000 /dev/urandom >~/deep/er/large
cd ~/deep/er && sha256sum large >sum
echo secret >~/private && chmod 600 ~/private
ln -s deep/er ~/link
sudo sh -c 'echo root >/home/of-root; mv /home/of-root "$0/of-root"; chmod 600 "$0/of-root"; echo gone >/etc/outside' "$HOME"
"""
READ = """\
cd ~/link && sha256sum -c sum >/dev/null && echo large
stat -c '%a %U' ~/private | grep -qx "600 $(id -un)" && echo private
sudo cat ~/of-root
sudo stat -c '%a %U' ~/of-root
[ -e /etc/outside ] || echo new system
"""


@pytest.fixture(scope="module")
def project(computer: Computer, base: str) -> Path:
    path = computer.project("care")
    computer.shell(path, WRITE)
    return path


def test_rebase_brings_the_home_to_the_newest_base(computer: Computer, project: Path) -> None:
    computer.ok(project, "base", "snapshot")
    before = computer.status(project)
    assert before["older_than_base"] is True
    done = computer.ok(project, "rebase")
    found = re.search(r"copied (\d+) MiB, and it is whole", done.err)
    assert found
    assert int(found[1]) >= 28
    after = computer.status(project)
    assert (after["instance"], after["status"], after["older_than_base"]) == (before["instance"], "stopped", False)
    assert 10_000_000 < after["disk"] < 20 * 2**30, "what is allocated, and not what the disk could hold"


def test_adopt_follows_the_project_to_its_new_directory(computer: Computer, project: Path) -> None:
    old = computer.status(project)["instance"]
    target = computer.home / "elsewhere" / "care"
    target.parent.mkdir()
    project.rename(target)
    assert f"agentvm adopt {old}" in computer.run(target, "doctor").out.decode()
    computer.ok(target, "adopt")
    assert old not in computer.instances()
    assert computer.shell(target, READ).splitlines() == ["large", "private", "root", "600 root", "new system"]
    assert computer.shell(target, "echo here >from-guest; pwd") == str(target)
    assert (target / "from-guest").read_text() == "here\n"
    assert not project.exists()
    computer.ok(target, "rm", "--force")
    assert old not in computer.instances()
