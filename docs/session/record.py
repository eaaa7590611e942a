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
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from agentvm.variables import CERTIFICATES

HERE = Path(__file__).resolve().parent
SIZE = (92, 30)
"""Columns and rows."""
LONGEST_PAUSE = 1.0
"""Seconds."""
REDRAWN = "\r\033[K"
SET_UP = (
    ["git", "init", "-q"],
    ["git", "add", "."],
    ["git", "commit", "-qm", "Open the shop"],
    ["agentvm", "base", "init"],
)
HASTE = 20
"""So many times faster is shown how a live line is written over."""
SHORTEST_SIGHT = 0.15
"""Seconds that a live line is to be seen."""

Event = tuple[float, str, str]
"""Seconds, "o", and what was written."""


def main(archive: str, cast: str) -> None:
    """Record with this agentvm.pyz into this file."""
    home = Path(tempfile.mkdtemp(prefix="ann-"))
    # As long as the usual one, so that tables stay as wide as they were.
    prefix = f"rec{secrets.token_hex(2)}"
    environment = make_environment(home, prefix)
    run = partial(subprocess.run, cwd=home / "shop", env=environment, stdout=sys.stderr)
    try:
        furnish(home, archive)
        for words in SET_UP:
            run(words, check=True)
        Path(cast).write_text(record(home / "shop", environment, prefix))
    finally:
        run(["agentvm", "uninstall", "--vms", "--yes"], check=False)
        shutil.rmtree(home)


def make_environment(home: Path, prefix: str) -> dict[str, str]:
    """This one, with another home and prefix, and without authorities that only this computer's network has."""
    own = {name: value for name, value in os.environ.items() if name not in (*CERTIFICATES, "SSL_CERT_DIR")}
    return {
        **{name: value for name, value in own.items() if not name.startswith("XDG_")},
        "HOME": str(home),
        "PATH": f"{home}/bin:{os.environ['PATH']}",
        "LIMA_HOME": str(Path(os.environ.get("LIMA_HOME") or Path.home() / ".lima").resolve()),
        "AGENTVM_INSTANCE_PREFIX": prefix,
    }


def furnish(home: Path, archive: str) -> None:
    """agentvm, a project, an identity, and what Lima needs of the real home."""
    (home / "bin").mkdir()
    (home / "bin" / "agentvm").symlink_to(Path(archive).resolve())
    (home / "shop").mkdir()
    (home / "shop" / "shop.py").write_text("print('Good morning.')\n")
    (home / ".gitconfig").write_text("[user]\n\tname = Ann\n\temail = ann@example.org\n")
    for name in (".local/share/qemu/vhost-user/50-virtiofsd.json", ".cache/lima", "Library/Caches/lima"):
        if (Path.home() / name).exists():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).symlink_to(Path.home() / name)


def record(project: Path, environment: dict[str, str], prefix: str) -> str:
    """The asciicast, with the name of a usual home and of the usual prefix."""
    columns, rows = map(str, SIZE)
    cast = project.parent / "session.cast"
    size = ["--cols", columns, "--rows", rows]
    words = ["asciinema", "rec", "--quiet", *size, "--command", f"sh {HERE / 'session.sh'}", str(cast)]
    subprocess.run(words, cwd=project, env={**environment, "TERM": "xterm-256color"}, check=True, stdout=sys.stderr)
    text = cast.read_text().replace(str(project.parent), "/home/ann").replace(prefix, "agentvm")
    head, *events = text.splitlines()
    kept = {name: value for name, value in json.loads(head).items() if name in ("version", "width", "height")}
    return "".join(f"{line}\n" for line in (json.dumps(kept), *shorten(events)))


def shorten(events: list[str]) -> list[str]:
    """The same events without long pauses, and without most of what a live line was in between."""
    shown, now, before = [], 0.0, 0.0
    for time, kind, data in thin([json.loads(event) for event in events]):
        pause = time - before
        now += pause / HASTE if data.startswith(REDRAWN) else min(pause, LONGEST_PAUSE)
        before = time
        shown.append(json.dumps([round(now, 2), kind, data], ensure_ascii=False))
    return shown


def thin(events: list[Event]) -> Iterator[Event]:
    """Leave out a live line that the next event writes over too soon to be seen."""
    last = 0.0
    for event, following in zip(events, [*events[1:], None], strict=True):
        time, _, data = event
        is_live = data.startswith(REDRAWN) and "\n" not in data
        is_replaced = following is not None and following[2].startswith(REDRAWN)
        if is_live and is_replaced and time - last < HASTE * SHORTEST_SIGHT:
            continue
        last = time
        yield event


if __name__ == "__main__":
    main(*sys.argv[1:])
