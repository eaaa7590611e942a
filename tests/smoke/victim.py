"""A user whose project's VM is taken over: root in it does what it likes, and her home is watched from outside.

Every secret of hers has one mark in it, so that it is found wherever it comes to. What the guest may write is left out of
the watch: the project, and the directories that are shared writable.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cli.world import wait_for
from tests.smoke.computer import BUNDLES, Computer, Done, program

LIMIT = 480.0
"""Seconds in which agentvm has answered, whatever the guest does; emulated, a quiet command takes three."""
PROMISED = (".claude", ".codex", ".config/opencode", ".local/share/agentvm/opencode", "house")
"""Places that guests may write, below the home."""
_LASTING = """\
import os, pathlib, signal, subprocess, time
place = pathlib.Path({place!r})
if os.fork():
    os._exit(0)
os.setsid()
nowhere = os.open(os.devnull, os.O_RDWR)
for number in 0, 1, 2:
    os.dup2(nowhere, number)
def until_over():
    return not (place / 'over').exists()
try:
{do}
    (place / 'doing').touch()
    while until_over():
{meanwhile}
        time.sleep(0.2)
finally:
{undo}
    (place / 'undone').touch()
"""
_SEARCH = """\
import os, pathlib, stat
mark, found = {mark!r}[::-1].encode(), []
for root in '/home', '/root', '/tmp', '/var/tmp', '/run':
    for place, directories, files in os.walk(root):
        directories[:] = [name for name in directories if not os.path.ismount(os.path.join(place, name))]
        for name in files:
            path = os.path.join(place, name)
            if stat.S_ISREG(os.lstat(path).st_mode) and mark in pathlib.Path(path).read_bytes()[:10000000]:
                found.append(path)
for path in pathlib.Path('/proc').glob('[0-9]*/environ'):
    try:
        found += [str(path)] if mark in path.read_bytes() else []
    except OSError:
        pass
print(len(found), *found)
"""


class Victim:
    """She, and what she knows of her home before the VM was taken over."""

    def __init__(self, computer: Computer) -> None:
        self.mark = secrets.token_hex(12)
        self.computer = computer
        self.computer.unset(*BUNDLES)
        self.computer.environment |= {"AGENTVM_SKIP_AUTO_INSTALL": "1", "LANG": "C.UTF-8"}
        self.home = self.computer.home
        self.project = self.computer.project("house")
        self.is_off = False
        self._number = 0
        self.secret = self.write("private/secret", f"{self.mark}\n")
        server = {"mcpServers": {self.mark: {"command": f"/{self.mark}", "url": f"http://localhost/{self.mark}"}}}
        self.json = self.write("private/settings.json", json.dumps(server))
        self.toml = self.write("private/config.toml", f'[model_providers.x]\nenv_key = "{self.mark.upper()}_API_KEY"\n')
        self.computer.environment[f"{self.mark.upper()}_API_KEY"] = self.mark
        self.ini = self.write(".pypirc", f"[pypi]\n\tuser = {self.mark}\n")
        self.write(".ssh/id_ed25519", self.mark)
        self.write(".config/gh/hosts.yml", "{}\n")
        self.write(".gitconfig", "[user]\n\tname = Victim\n\temail = victim@home.example\n")
        done = self.computer.host(self.project, "git", "init", "-q")
        assert done.status == 0, done
        self.computer.ok(self.project, "shell", "--", "true")
        self._before = self._outside()

    def write(self, path: str, content: str) -> Path:
        file = self.home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        return file

    def run(self, *words: str, status: int | None = None, **variables: str) -> Done:
        """agentvm, which ends in time, says nothing of a bug, no secret, and nothing that drives a terminal."""
        done = subprocess.run(
            [*program(), *words],
            cwd=self.project,
            env=self.computer.environment | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=LIMIT,
        )
        # ssh ends its own lines so.
        said = done.stderr.decode().replace("\r\n", "\n") + ("" if words[0] == "shell" else done.stdout.decode())
        assert "a bug in agentvm" not in said, said
        assert "Traceback" not in said, said
        assert self.mark not in said.lower(), said
        assert all(char.isprintable() or char in "\n\t" for char in said), repr(said)
        assert status is None or done.returncode == status, (done.returncode, said)
        return Done(done.returncode, done.stdout, said)

    def attack(self, script: str) -> str:
        """What a piece of Python says that root runs in the guest."""
        return self.run("shell", "--", "sudo", "-n", "python3", "-c", script, status=0).out.decode().strip()

    @contextmanager
    def lasting(self, do: str, undo: str = "pass", meanwhile: str = "pass") -> Iterator[None]:
        """What root in the guest does for a while, also when nobody can log in: it is told by files of the project."""
        self._number += 1
        place = self.project / f".attack-{self._number}"
        place.mkdir()
        bodies = {name: _indent(text) for name, text in (("do", do), ("undo", undo))}
        self.attack(_LASTING.format(place=str(place), meanwhile=_indent(_indent(meanwhile)), **bodies))
        wait_for((place / "doing").exists, LIMIT)
        try:
            yield
        finally:
            (place / "over").touch()
            wait_for((place / "undone").exists, LIMIT)

    def check(self) -> None:
        """Nothing outside the promised places was changed, and no secret is in the guest."""
        assert self._outside() == self._before
        if self.is_off:
            return
        found = self.attack(_SEARCH.format(mark=self.mark[::-1]))
        assert found == "0", found

    def _outside(self) -> dict[str, str]:
        """All of the home but what the guest may write: there may be pipes and endless files."""
        found = {}
        for place, directories, files in os.walk(self.home):
            below = [Path(place, name).relative_to(self.home) for name in directories]
            directories[:] = [path.name for path in below if str(path) not in PROMISED]
            for name in (*directories, *files):
                path = self.home / place / name
                found[str(path.relative_to(self.home))] = f"{path.lstat().st_mode:o} {_content(path)}"
        return found


def _content(path: Path) -> str:
    if path.is_symlink():
        return os.readlink(path)
    return path.read_bytes().hex() if path.is_file() else ""


def _indent(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
