"""A user's computer for the smoke suite: a home and projects of its own, agentvm as a process, and the machine's real Lima.

Everything of it is found again by a random prefix: instances, processes, files. So it is removed completely, and nothing
else is touched.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from agentvm.variables import CERTIFICATES

ROOT = Path(__file__).resolve().parents[2]
SWITCH = "AGENTVM_RUN_INTEGRATION_SMOKE"
RUN = "AGENTVM_SMOKE_RUN"
"""What the prefixes of one run of the suite begin with, in all its processes."""
KEPT_PREFIX = "AGENTVM_SMOKE_PREFIX"
"""Names a prefix whose base is used as it is, and kept: for who works on one stage again and again."""
PATIENCE = 1800.0
"""Seconds for one command: under emulation a boot takes one and a half minutes, and an agent's installation two."""
VIRTIOFSD = ".local/share/qemu/vhost-user/50-virtiofsd.json"
DOWNLOADS = (".cache/lima", "Library/Caches/lima")
"""Where Lima keeps images: nobody wants to load them anew."""
BUNDLES = (*CERTIFICATES, "SSL_CERT_DIR")
"""Variables that name certificates: to bring a whole bundle into a VM takes minutes under emulation."""
_KEPT = ("AGENTVM_BASE_TEMPLATE", "AGENTVM_START_TIMEOUT", "AGENTVM_LIMACTL")
"""Settings that make Lima work on this machine; the user's others are none of the suite's."""


class Done(NamedTuple):
    """A program that ended."""

    status: int
    out: bytes
    err: str


class Computer:
    """`home` is a user's; a second user of the same instances has another one."""

    def __init__(self, directory: Path, prefix: str, home: str = "home") -> None:
        self.directory = directory
        self.prefix = prefix
        self.home = directory / home
        self.home.mkdir(mode=0o700)
        settings = {name: value for name, value in os.environ.items() if name in _KEPT}
        others = {name: value for name, value in os.environ.items() if not name.startswith(("AGENTVM_", "XDG_"))}
        self.lima_home = Path(os.environ.get("LIMA_HOME") or Path.home() / ".lima").resolve()
        self.environment = {
            **others,
            **settings,
            "HOME": str(self.home),
            "LIMA_HOME": str(self.lima_home),
            "XDG_STATE_HOME": str(directory / "state"),
            "PYTHONPATH": str(ROOT / "src"),
            "AGENTVM_INSTANCE_PREFIX": prefix,
        }
        self.limactl = self.environment.get("AGENTVM_LIMACTL", "limactl")

    def borrow(self, *names: str) -> None:
        """Have these things of the machine's user in this home."""
        for name in names:
            if (own := Path.home() / name).exists():
                target = self.home / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(own)

    def unset(self, *names: str) -> None:
        """Have none of these variables."""
        for name in names:
            self.environment.pop(name, None)

    def project(self, name: str) -> Path:
        path = self.home / name
        path.mkdir(exist_ok=True)
        return path.resolve()

    def run(self, directory: Path, *words: str, stdin: bytes = b"", **variables: str) -> Done:
        """Run agentvm to its end."""
        done = subprocess.run(
            [*program(), *words],
            cwd=directory,
            env=self.environment | variables,
            input=stdin,
            capture_output=True,
            check=False,
            timeout=PATIENCE,
        )
        return Done(done.returncode, done.stdout, done.stderr.decode(errors="replace"))

    def host(self, directory: Path, *words: str, **variables: str) -> Done:
        """Run another program of the user's to its end, without agentvm."""
        done = subprocess.run(
            words,
            cwd=directory,
            env=self.environment | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=PATIENCE,
        )
        return Done(done.returncode, done.stdout, done.stderr.decode(errors="replace"))

    def ok(self, directory: Path, *words: str, stdin: bytes = b"", **variables: str) -> Done:
        """Run agentvm, which must succeed."""
        done = self.run(directory, *words, stdin=stdin, **variables)
        assert done.status == 0, done
        return done

    def shell(self, directory: Path, script: str, **variables: str) -> str:
        """What a piece of shell says in the project's guest, where it must succeed."""
        return self.ok(directory, "shell", "--", "sh", "-c", script, stdin=b"", **variables).out.decode().strip()

    def kill_at(self, directory: Path, text: str, *words: str, later: float = 0.0, **variables: str) -> None:
        """Run agentvm and kill it, as nothing can be handled, so many seconds after it said `text`."""
        with subprocess.Popen(
            [*program(), *words],
            cwd=directory,
            env=self.environment | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stderr
            said = []
            for line in process.stderr:
                said.append(line.decode(errors="replace"))
                if text in said[-1]:
                    time.sleep(later)
                    process.kill()
                    break
            # What it started may live on and keep the stream open: nobody waits for that.
            status = process.wait(PATIENCE)
        assert status == -signal.SIGKILL, "".join(said)

    def instances(self) -> dict[str, dict[str, Any]]:
        """agentvm's own list, by name."""
        listed = json.loads(self.ok(self.directory, "list", "--json").out)
        return {entry["name"]: entry for entry in listed["instances"]}

    def status(self, project: Path) -> dict[str, Any]:
        return dict(json.loads(self.ok(project, "status", "--json").out))

    def lima(self, *words: str) -> None:
        subprocess.run([self.limactl, *words], env=self.environment, check=True, capture_output=True, timeout=PATIENCE)

    def own_directories(self) -> list[Path]:
        """Those of its instances, without a base that is to be kept."""
        kept = f"{self.prefix}-base" if os.environ.get(KEPT_PREFIX) else "/"
        return sorted(path for path in self.lima_home.glob(f"{self.prefix}-*") if not path.name.startswith(kept))


def program() -> list[str]:
    """What starts agentvm: the archive that `build.py smoke` made, else the source tree."""
    archive = os.environ.get("AGENTVM_TEST_ARCHIVE")
    return [archive] if archive else [sys.executable, "-m", "agentvm"]


def expected_mount_type(computer: Computer) -> str:
    """virtiofs where Lima finds a virtiofsd, for this home or the whole system. QEMU's old one needs root and is none."""
    places = (computer.home / ".local/share/qemu/vhost-user", Path("/usr/share/qemu/vhost-user"))
    found = [json.loads(path.read_text())["binary"] for place in places for path in place.glob("*virtiofsd*.json")]
    usable = [binary for binary in found if shutil.which(binary) and _succeeds(binary, "--version")]
    return "virtiofs" if usable or sys.platform == "darwin" else "9p"


def _succeeds(*words: str) -> bool:
    return subprocess.run(words, check=False, capture_output=True).returncode == 0


def make_computer() -> Computer:
    """A computer with its first user, of whom the others have the directory and the prefix."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    prefix = os.environ.get(KEPT_PREFIX) or os.environ[RUN] + worker
    directory = Path(tempfile.mkdtemp(prefix=f"{prefix}-")).resolve()
    computer = Computer(directory, prefix)
    computer.borrow(VIRTIOFSD, *DOWNLOADS)
    return computer


def remove_base(computer: Computer) -> None:
    """Remove what projects are cloned from, so that who needs a base makes one anew; but not a base that is kept."""
    base = f"{computer.prefix}-base"
    remove_instances(computer.limactl, [path for path in computer.own_directories() if path.name.startswith(base)])


def remove_computer(computer: Computer) -> None:
    """Remove all that has the prefix, whatever state a failed test left it in."""
    remove_instances(computer.limactl, computer.own_directories())
    end_processes(own_processes(computer))
    for directory in [*computer.own_directories(), computer.directory]:
        shutil.rmtree(directory, ignore_errors=True)


def sweep(run: str) -> None:
    """Remove what a process of this run left that was ended before it could."""
    lima_home = Path(os.environ.get("LIMA_HOME") or Path.home() / ".lima").resolve()
    remove_instances(os.environ.get("AGENTVM_LIMACTL", "limactl"), sorted(lima_home.glob(f"{run}*")))
    end_processes(find_processes(f"/{run}"))
    for directory in [*lima_home.glob(f"{run}*"), *Path(tempfile.gettempdir()).resolve().glob(f"{run}*")]:
        shutil.rmtree(directory, ignore_errors=True)


def remove_instances(limactl: str, directories: list[Path]) -> None:
    for directory in directories:
        subprocess.run(
            [limactl, "delete", "--force", directory.name], check=False, capture_output=True, timeout=PATIENCE
        )


def end_processes(processes: dict[int, str]) -> None:
    for pid in processes:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def find_left(computer: Computer) -> list[str]:
    """What is still there of it, in words."""
    deadline = time.monotonic() + 10
    while own_processes(computer) and time.monotonic() < deadline:
        time.sleep(0.5)
    mounts = subprocess.run(["mount"], check=True, capture_output=True, text=True).stdout.splitlines()
    return [
        *(f"instance {path.name}" for path in computer.own_directories()),
        *(f"process {words}" for words in own_processes(computer).values()),
        *(f"mount {line}" for line in mounts if f"{computer.prefix}-" in line),
        *(f"directory {path}" for path in [computer.directory] if path.exists()),
    ]


def own_processes(computer: Computer) -> dict[int, str]:
    """The command lines with the prefix in them, by process id; a base that is kept may go on running."""
    kept = f"{computer.prefix}-base" if os.environ.get(KEPT_PREFIX) else "\n"
    return {pid: words for pid, words in find_processes(f"/{computer.prefix}-").items() if kept not in words}


def find_processes(text: str) -> dict[int, str]:
    """The command lines with this in them, by process id."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,args="], check=True, capture_output=True, text=True).stdout
    pairs = (line.split(maxsplit=1) for line in listed.splitlines() if text in line)
    return {int(pid): words for pid, words in pairs}
