"""Record session.sh on real Lima and draw it: session.cast and session.svg beside this file.

`python3 build.py record` runs it, in the lab where the machine has no Lima that can run. The base is made first, so that
the recording begins where a day with agentvm begins. Pauses are shortened to a second, and waiting is shown faster.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SIZE = (92, 30)
"""Columns and rows."""
LONGEST_PAUSE = 1.0
"""Seconds."""
HASTE = 20
"""So many times faster is shown how a live line is written over."""


def main(archive: str, cast: str) -> None:
    """Record with this agentvm.pyz into this file."""
    home = Path(tempfile.mkdtemp(prefix="agentvm-record-"))
    prefix = f"r{secrets.token_hex(2)}"
    environment = prepare(home, prefix, archive)
    try:
        Path(cast).write_text(record(home / "shop", environment, prefix))
    finally:
        agentvm = [str(home / "bin" / "agentvm")]
        subprocess.run([*agentvm, "uninstall", "--vms"], env=environment, check=False, stdout=sys.stderr)
        shutil.rmtree(home)


def prepare(home: Path, prefix: str, archive: str) -> dict[str, str]:
    """A home with a project and a base in it."""
    (home / "bin").mkdir()
    (home / "bin" / "agentvm").symlink_to(Path(archive).resolve())
    (home / "shop").mkdir()
    own = Path.home()
    for name in (".local/share/qemu/vhost-user/50-virtiofsd.json", ".cache/lima", "Library/Caches/lima"):
        if (own / name).exists():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).symlink_to(own / name)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("XDG_")},
        "HOME": str(home),
        "PATH": f"{home}/bin:{os.environ['PATH']}",
        "LIMA_HOME": str(Path(os.environ.get("LIMA_HOME") or own / ".lima").resolve()),
        "AGENTVM_INSTANCE_PREFIX": prefix,
    }
    for words in (["git", "init", "-q"], ["agentvm", "base", "init"]):
        subprocess.run(words, cwd=home / "shop", env=environment, check=True, stdout=sys.stderr)
    return environment


def record(project: Path, environment: dict[str, str], prefix: str) -> str:
    """The asciicast, with the name of a usual home and of the usual prefix."""
    columns, rows = map(str, SIZE)
    cast = project.parent / "session.cast"
    size = ["--cols", columns, "--rows", rows]
    words = ["asciinema", "rec", "--quiet", *size, "--command", f"sh {HERE / 'session.sh'}", str(cast)]
    subprocess.run(words, cwd=project, env={**environment, "TERM": "xterm-256color"}, check=True, stdout=sys.stderr)
    text = cast.read_text().replace(str(project.parent), "/home/ann").replace(f"{prefix}-", "agentvm-")
    head, *events = text.splitlines()
    kept = {name: value for name, value in json.loads(head).items() if name in ("version", "width", "height")}
    return "".join(f"{line}\n" for line in (json.dumps(kept), *shorten(events)))


REDRAWN = "\r\033[K"


def shorten(events: list[str]) -> list[str]:
    """The same events without long pauses."""
    shown, now, before = [], 0.0, 0.0
    for time, kind, data in map(json.loads, events):
        pause = min(time - before, LONGEST_PAUSE)
        now += pause / HASTE if data.startswith(REDRAWN) and "\n" not in data else pause
        before = time
        shown.append(json.dumps([round(now, 2), kind, data], ensure_ascii=False))
    return shown


if __name__ == "__main__":
    main(*sys.argv[1:])
