"""The steps of provisioning, under a real sh, with stubs in the place of apt and of what only a guest has."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from agentvm.manifest import Manifest, Script
from agentvm.provision import SEAL, Packages, Step, provisioning_steps

EMPTY = Manifest("here", (), (), ())


def packages(*names: str) -> Step:
    (step,) = provisioning_steps(EMPTY._replace(packages=names))
    return step


def script(content: str) -> Step:
    (step,) = provisioning_steps(EMPTY._replace(scripts=(Script("10-a.sh", content.encode()),)))
    return step


class Guest:
    """A root directory of its own, in which the steps that name absolute paths are run, and a PATH with stubs first."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.programs = root / "programs"
        for directory in (self.programs, root / "root", root / "run", root / "etc", root / "var/lib/dbus"):
            directory.mkdir(parents=True)
        self.stub("apt-get", 'echo "$*" >>"$LOG"; [ "$STDIN" ] && cat >>"$STDIN"; exit "${APT:-0}"')
        self.stub("getent", 'echo "$2:x:1000:1000::/home/$2:/bin/sh"')

    def stub(self, name: str, text: str) -> None:
        (self.programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.programs / name).chmod(0o755)

    def have(self, *names: str) -> None:
        """Let dpkg-query know these packages as installed."""
        cases = "".join(f"{name}) echo 'ii ' ;;" for name in names)
        self.stub(
            "dpkg-query", f'shift 3; for name; do case $name in {cases} *) status=1 ;; esac; done; exit "$status"'
        )

    def run(self, step: Step, shell: str = "/bin/sh", **environment: str) -> subprocess.CompletedProcess[str]:
        argv = [self.inside(word) if word != "/bin/sh" else shell for word in step.command.argv]
        return subprocess.run(
            argv,
            input=os.fsdecode(step.command.stdin),
            env={
                "PATH": f"{self.programs}:{os.environ['PATH']}",
                "LOG": str(self.root / "log"),
                "SUDO_USER": "someone",
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def inside(self, text: str) -> str:
        """The same with the paths of this guest in place of a real one's."""
        return re.sub(r"(?<![\w.])/(var|root|run|etc)(?=[/ ])", rf"{self.root}/\1", text)

    @property
    def apt(self) -> list[str]:
        """The last words of every call of apt-get."""
        log = self.root / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [line.removeprefix("-o DPkg::Lock::Timeout=600 ") for line in lines]


@pytest.fixture
def guest(tmp_path: Path) -> Guest:
    return Guest(tmp_path / "guest")


def test_the_order_of_the_steps() -> None:
    one, two, three = (Script(f"{number}.sh", b"") for number in (1, 2, 3))
    steps = provisioning_steps(Manifest("here", (one,), ("git", "jq"), (two, three)))
    assert [step.title for step in steps] == ["1.sh", "2 packages", "2.sh", "3.sh"]
    assert all(step.command.root for step in steps)


def test_nothing_to_do() -> None:
    assert provisioning_steps(EMPTY) == ()


def test_packages_are_one_transaction(guest: Guest) -> None:
    guest.have("git")
    assert guest.run(packages("git", "g++", "jq")).returncode == 0
    assert guest.apt == ["-qq update", "-o Dpkg::Use-Pty=0 -y --no-install-recommends install git g++ jq", "clean"]


def test_packages_that_are_all_there_cost_nothing(guest: Guest) -> None:
    guest.have("git", "jq")
    done = guest.run(packages("git", "jq"))
    assert (done.returncode, done.stdout) == (0, "all 2 packages are there\n")
    assert guest.apt == []


@pytest.mark.parametrize("status", ["hi ", "rc ", "iU ", "un "])
def test_a_package_that_is_not_whole_is_installed(guest: Guest, status: str) -> None:
    guest.stub("dpkg-query", f"echo '{status}'")
    guest.run(packages("git"))
    assert len(guest.apt) == 3


def test_apt_that_fails_is_a_failed_step(guest: Guest) -> None:
    guest.have()
    assert guest.run(packages("no-such-package"), APT="100").returncode == 100
    assert guest.apt == ["-qq update"]


@pytest.mark.parametrize("shell", [path for name in ("dash", "bash") if (path := shutil.which(name))])
def test_apt_reads_nothing_of_the_script(guest: Guest, tmp_path: Path, shell: str) -> None:
    """The shell reads the script from the same standard input, and bash reads no further than it has come."""
    guest.have()
    assert guest.run(packages("git"), shell, STDIN=str(tmp_path / "read")).returncode == 0
    assert guest.apt[-1] == "clean"
    assert (tmp_path / "read").read_bytes() == b""


def test_a_guest_without_apt(guest: Guest, tmp_path: Path) -> None:
    for tool in ("flock", "sh"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or tool)
    done = guest.run(packages("git"), PATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "there is no apt-get in this guest: use a Debian or Ubuntu template\n")


def test_a_script_is_run_by_its_own_first_line_with_an_empty_input(guest: Guest) -> None:
    done = guest.run(script("#!/bin/cat\nthis is $0, and nobody runs it\n"))
    assert (done.returncode, done.stdout) == (0, "#!/bin/cat\nthis is $0, and nobody runs it\n")
    assert guest.run(script("#!/bin/sh\ncat")).stdout == ""


def test_what_a_script_knows(guest: Guest) -> None:
    text = '#!/bin/sh\necho "$DEBIAN_FRONTEND $AGENTVM_GUEST_USER $AGENTVM_GUEST_HOME $(umask)"; pwd -P'
    done = guest.run(script(text))
    assert done.stdout == f"noninteractive someone /home/someone 0022\n{os.path.realpath(guest.root)}/root\n"


def test_the_status_of_a_script_is_the_steps(guest: Guest) -> None:
    assert guest.run(script("#!/bin/sh\nexit 7")).returncode == 7


def test_a_script_that_can_not_be_written_is_a_failed_step(guest: Guest) -> None:
    guest.stub("mkdir", "exit 1")
    assert guest.run(script("#!/bin/sh\necho ran")).returncode != 0


def test_sealing_empties_the_machine_id(guest: Guest) -> None:
    identities = [guest.root / "etc/machine-id", guest.root / "var/lib/dbus/machine-id"]
    for identity in identities:
        identity.write_text("0123456789abcdef\n")
    subprocess.run(["sh", "-c", guest.inside(SEAL.argv[-1])], check=True)
    assert identities[0].read_bytes() == b""
    assert not identities[1].exists()
    assert SEAL.root


APT = b"""\
The following NEW packages will be installed:
  curl jq
0 upgraded, 2 newly installed, 0 to remove and 7 not upgraded.
Get:1 http://deb.example bookworm/main amd64 jq amd64 1.6
Get:2 http://deb.example bookworm/main amd64 curl amd64 7
Fetched 3 MB in 1s
Unpacking jq (1.6) ...
Setting up jq (1.6) ...
Setting up curl (7) ...
"""


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_how_far_apt_is(size: int) -> None:
    packages = Packages()
    said = [packages.read(APT[at : at + size]) for at in range(0, len(APT), size)]
    assert said[-1] == "set up 2 of 2 packages"
    if size == 1:
        stages = list(dict.fromkeys(filter(None, said)))
        assert stages == [
            "fetched 1 of 2 packages",
            "fetched 2 of 2 packages",
            "unpacked 1 of 2 packages",
            "set up 1 of 2 packages",
            "set up 2 of 2 packages",
        ]


def test_what_is_no_apt_tells_nothing() -> None:
    packages = Packages()
    assert (
        packages.read(b"Setting up a thing\n" + b"x" * 1_000_000 + b"\n999999999 upgraded, 1 newly installed\n") == ""
    )
