"""A user's computer in a directory: a home, a project, the fake backend, and agentvm as a process on it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PROGRAM_VARIABLE = "AGENTVM_TEST_ARCHIVE"
"""Names the archive to test; without it the source tree is tested."""
PREFIX = "agentvm"
TIMEOUT = 60.0
"""Seconds for one command; a command that hangs shall fail its test, not the whole run."""


def program() -> list[str]:
    """What starts agentvm."""
    archive = os.environ.get(PROGRAM_VARIABLE)
    return [archive] if archive else [sys.executable, "-I", "-S", str(ROOT / "src" / "agentvm" / "__main__.py")]


class Done(NamedTuple):
    """An agentvm that ended."""

    status: int
    out: str
    err: str


class World:
    """`environment` is all that agentvm sees of the real one: nothing."""

    def __init__(self, directory: Path, cache: Path) -> None:
        self.directory = directory
        self.home = directory / "home"
        self.fake = directory / "fake"
        self.state = directory / "state"
        self.config = directory / "config"
        self.project = self.home / "web"
        self._started: list[subprocess.Popen[bytes]] = []
        self.project.mkdir(parents=True)
        (self.fake / "bin").mkdir(parents=True)
        self.environment = {
            "PATH": f"{os.path.dirname(sys.executable)}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "XDG_STATE_HOME": str(self.state),
            "XDG_CONFIG_HOME": str(self.config),
            # Shared, so that an archive is not extracted once for every test.
            "XDG_CACHE_HOME": str(cache),
            "AGENTVM_BACKEND": "fake",
            "AGENTVM_FAKE_DIR": str(self.fake),
        }

    def run(self, *words: str, directory: Path | None = None, stdin: str = "", **variables: str) -> Done:
        """Run agentvm to its end."""
        done = subprocess.run(
            [*program(), *words],
            cwd=directory or self.project,
            env=self.environment | variables,
            input=stdin.encode(),
            capture_output=True,
            check=False,
            timeout=TIMEOUT,
        )
        return Done(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def ok(self, *words: str, directory: Path | None = None, stdin: str = "", **variables: str) -> Done:
        """Run agentvm, which must succeed."""
        done = self.run(*words, directory=directory, stdin=stdin, **variables)
        assert done.status == 0, done
        return done

    def fails(self, status: int, *words: str, directory: Path | None = None, **variables: str) -> str:
        """Run agentvm, which must fail with this status, print nothing on stdout and change nothing; what it said."""
        before = self.tree()
        done = self.run(*words, directory=directory, **variables)
        assert (done.status, done.out) == (status, ""), done
        assert "Traceback" not in done.err
        assert self.tree() == before
        return done.err

    def start(self, *words: str, directory: Path | None = None, **variables: str) -> subprocess.Popen[bytes]:
        """Start agentvm in a process group of its own, its streams as pipes. Whatever is left of it ends with the test."""
        process = subprocess.Popen(
            [*program(), *words],
            cwd=directory or self.project,
            env=self.environment | variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def close(self) -> None:
        """End everything that was started."""
        for process in self._started:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    # Not communicate(): what is left in a guest may hold the other end.
                    with suppress(BrokenPipeError):
                        stream.close()

    def hold(self, directory: Path | None = None, **variables: str) -> subprocess.Popen[bytes]:
        """A session that runs until its standard input is closed; it is running when this returns."""
        session = self.start("shell", "--", "sh", "-c", "echo ready; cat", directory=directory, **variables)
        assert session.stdout
        assert session.stdout.readline() == b"ready\n"
        return session

    def tree(self) -> dict[str, str]:
        """Every file of the computer with what is in it, but for lock files and the like, which say nothing lasting."""
        return {path: content for path, content in snapshot(self.directory).items() if not _is_lock(path)}

    def json(self, *words: str, directory: Path | None = None, **variables: str) -> Any:
        return json.loads(self.ok(*words, "--json", directory=directory, **variables).out)

    def instances(self) -> dict[str, str]:
        """Names and statuses, as `agentvm list` has them."""
        return {entry["name"]: entry["status"] for entry in self.json("list")["instances"]}

    def instance(self, directory: Path | None = None) -> str:
        """The name of the project's instance."""
        return str(self.json("status", directory=directory)["instance"])

    def guest_home(self, directory: Path | None = None) -> Path:
        return self.fake / self.instance(directory) / "home"

    def make_project(self, name: str) -> Path:
        place = self.home / name
        place.mkdir(parents=True)
        return place

    def add_program(self, name: str, text: str) -> None:
        """Put a shell script on every guest's PATH."""
        write_program(self.fake / "bin" / name, text)

    def add_npm(self) -> None:
        """An npm that installs agents that tell their arguments, and that counts its own runs in `npm.log`."""
        self.add_program("npm", NPM.replace("@LOG@", str(self.directory / "npm.log")))

    def fail_with(self, status: int, text: str) -> None:
        """What root does in a guest fails when `text` is in it."""
        (self.fake / "failures").write_text(f"{status} {text}\n")

    def age(self, seconds: int, directory: Path | None = None) -> str:
        """Make the project's VM older in all that its age and its use are known by; its name."""
        name = self.instance(directory)
        self.age_instance(name, seconds)
        return name

    def age_instance(self, name: str, seconds: int) -> None:
        then = int(time.time()) - seconds
        label = self.fake / name / "agentvm.json"
        label.write_text(json.dumps(json.loads(label.read_text()) | {"created": then}))
        for path in (self.fake / name / "status", self.state / "agentvm" / "agentvm" / f"{name}.use"):
            if path.exists():
                os.utime(path, (then, then))

    def foreign(self, name: str, status: str = "stopped") -> Path:
        """Somebody else's instance."""
        place = self.fake / name
        (place / "home").mkdir(parents=True)
        (place / "foreign").write_text("yes")
        (place / "status").write_text(status)
        return place


NPM = """\
echo "$*" >>'@LOG@'
while [ $# -gt 0 ]; do
    case $1 in --prefix) prefix=$2 ;; @*/*@latest | opencode-ai@latest) package=$1 ;; esac
    shift
done
case $package in *claude*) name=claude ;; *codex*) name=codex ;; *) name=opencode ;; esac
mkdir -p "$prefix/bin"
cat >"$prefix/bin/$name" <<'AGENT'
#!/bin/sh
[ "$1" != --version ] || { echo "${0##*/} 1.2.3"; exit; }
echo "${0##*/} in $PWD"
for word; do printf '<%s>\\n' "$word"; done
AGENT
chmod +x "$prefix/bin/$name"
"""


def write_program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}")
    path.chmod(0o755)


def snapshot(directory: Path) -> dict[str, str]:
    """Every path below a directory, with its mode and what is in it."""
    found = {}
    for path in sorted(directory.rglob("*")):
        content = "" if path.is_dir() and not path.is_symlink() else _content(path)
        found[str(path.relative_to(directory))] = f"{path.lstat().st_mode:o} {content}"
    return found


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Look again and again until it is so; fail the test if it is never."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def _content(path: Path) -> str:
    return os.readlink(path) if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest()


def _is_lock(path: str) -> bool:
    lock = path.startswith("state") and path.endswith((".change", ".use", ".tripwire", "/sessions", "state", "agentvm"))
    # In the guest, the process id of a session: a later one removes a few dozen at once.
    return lock or "/agentvm/run/" in path
