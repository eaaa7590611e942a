"""A host and a guest that are two homes on this computer, what agentvm would send into the guest, and agents in a terminal.

The real programs run as a plain user, since claude refuses to act alone for root, with nothing of this computer's environment.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from agentvm.agents import Agent
from agentvm.launch import Launch
from agentvm.model import Contribution
from agentvm.quoting import join, quote

SWITCH = "AGENTVM_TEST_AGENTS"
"""Names the directory with the agents' programs."""
SECONDS = 90
"""How long an agent may take to show what it shows. It is there after two to ten on a small computer."""
_HEAD = """\
state=$HOME/.local/state/agentvm
say() { printf 'agentvm: %s\\n' "$1" >&2; }
die() { say "$1"; exit 1; }"""


class Machines(NamedTuple):
    """The homes, and the project that both see at one place. All are below `base`, and belong to the plain user."""

    base: Path
    host: Path
    guest: Path
    project: Path

    def write(self, path: Path, content: object) -> Path:
        """A file for its user alone; what is neither text nor bytes is written as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content if isinstance(content, str | bytes) else json.dumps(content)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        path.chmod(0o600)
        self.hand_over()
        return path

    def share(self, path: str) -> None:
        """As agentvm does: a directory below the host's home, and a link to it in the guest's."""
        (self.host / path).mkdir(parents=True, exist_ok=True)
        link = self.guest / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(self.host / path)
        self.hand_over()

    def hand_over(self) -> None:
        if os.geteuid() == 0:
            user = pwd.getpwnam("nobody")
            for path in (self.base, *self.base.rglob("*")):
                os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)

    def run(self, home: Path, *words: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a program to its end in the project."""
        return subprocess.run(
            as_user(home, words, environment),
            cwd=self.project,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def session(
        self,
        agent: Agent,
        launch: Launch,
        contribution: Contribution | None = None,
        *,
        directory: Path | None = None,
        platform: str = "linux",
        passed: tuple[tuple[str, str], ...] = (),
    ) -> str:
        """The shell text that a session would send into the guest."""
        made = contribution or Contribution()
        values = ((name, _value(value)) for name, value in agent.environment_for(platform))
        return "\n".join(
            (
                _HEAD,
                made.functions,
                *made.lines,
                *(f"export {name}={value}" for name, value in values),
                *(f'mkdir -p "$HOME"/{quote(path)}' for path in agent.directories),
                *(f"export {name}={quote(value)}" for name, value in passed + launch.environment),
                f"cd {quote(str(directory or self.project))} || exit",
                f"exec {join((agent.name, *launch.arguments))}",
            )
        )

    @contextmanager
    def terminal(self, home: Path, script: str) -> Iterator[Terminal]:
        """Run shell text in a terminal; it and all that it started are ended afterwards."""
        file = self.write(Path(tempfile.mkdtemp(dir=self.base)) / "session.sh", script)
        socket = str(file.with_name("tmux"))
        command = join(as_user(home, ("/bin/sh", str(file)), {"TERM": "xterm-256color"}))
        # The window stays when the program ends, so that its last words can be read.
        start = (
            f"set -g remain-on-exit on ; set -g default-shell /bin/sh ; new-session -d -x 120 -y 45 {quote(command)}"
        )
        made = Terminal(("tmux", "-f", "/dev/null", "-S", socket))
        config = file.with_name("tmux.conf")
        config.write_text(start.replace(" ; ", "\n") + "\n")
        subprocess.run(("tmux", "-f", str(config), "-S", socket, "start-server", ";", "run-shell", "true"), check=True)
        try:
            yield made
        finally:
            pids = made.tell("list-panes", "-a", "-F", "#{pane_pid}").split()
            for pid in map(int, pids):
                end_session(pid)
            made.tell("kill-server")

    def processes(self) -> dict[int, str]:
        """What still runs with one of these homes: by its number, its command line."""
        found = {}
        for path in Path("/proc").iterdir():
            try:
                if path.name.isdecimal() and f"{self.base}/".encode() in (path / "environ").read_bytes():
                    found[int(path.name)] = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
        return found


def open_files(home: Path) -> set[Path]:
    """The files that processes with this home hold open."""
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if f"HOME={home}\0".encode() in (path / "environ").read_bytes():
                found |= {link.readlink() for link in (path / "fd").iterdir()}
        except OSError:
            continue
    return found


class Terminal(NamedTuple):
    """A terminal of 45 lines of 120 characters."""

    tmux: tuple[str, ...]

    def tell(self, *words: str) -> str:
        return subprocess.run((*self.tmux, *words), capture_output=True, text=True, check=False, timeout=30).stdout

    def screen(self) -> str:
        """What is on it now, without what only decorates it."""
        return "\n".join(line.rstrip() for line in self.tell("capture-pane", "-p").splitlines() if line.strip())

    def type(self, *keys: str) -> None:
        self.tell("send-keys", *keys)

    def await_one(self, known: dict[str, str]) -> str:
        """Wait until the screen shows one of these texts, and goes on showing it; the text's name. A | parts alternatives."""
        before = ""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            time.sleep(1)
            flat = " ".join(self.screen().split())
            shown = next((name for name, text in known.items() if any(part in flat for part in text.split("|"))), "")
            if shown and shown == before:
                return shown
            before = shown
        raise AssertionError(f"none of {list(known)} came, but:\n{self.screen()}")


def as_user(home: Path, words: Sequence[str], environment: dict[str, str]) -> tuple[str, ...]:
    """The command that runs another one for a plain user, with this home and nothing of our environment."""
    agents = os.environ[SWITCH]
    values = {
        "HOME": str(home),
        "PATH": f"{agents}:/usr/local/bin:/usr/bin:/bin",
        "SHELL": "/bin/sh",
        "LANG": "C.UTF-8",
        **environment,
    }
    user = pwd.getpwnam("nobody")
    become = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
    return (
        *(become if os.geteuid() == 0 else ()),
        *("env", "-i", *(f"{name}={value}" for name, value in values.items())),
        *words,
    )


def end_session(leader: int) -> None:
    """End every process of a terminal's session."""
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            try:
                if os.getsid(int(path.name)) == leader:
                    os.kill(int(path.name), signal.SIGKILL)
            except ProcessLookupError:
                continue


@contextmanager
def make_machines(project: str = "up/project") -> Iterator[Machines]:
    """Two empty homes and an empty project. What still runs with them at the end is ended with them."""
    base = Path(os.path.realpath(tempfile.mkdtemp(prefix="agentvm-agents-")))
    made = Machines(base, base / "host", base / "guest", base / project)
    base.chmod(0o755)
    for directory in (made.host, made.guest, made.project):
        directory.mkdir(parents=True)
    made.hand_over()
    try:
        yield made
    finally:
        for pid in made.processes():
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(base, ignore_errors=True)


def _value(value: str) -> str:
    return f'"$HOME"/{quote(value[2:])}' if value.startswith("~/") else quote(value)
