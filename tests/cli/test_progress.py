"""What a person sees while something takes long, on a real terminal's screen and in a file."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.cli.world import World, program, wait_for
from tests.smoke.terminal import Screen, screen

RENEW = "AGENTVM_RENEW_SCREENS"
GOLDEN = Path(__file__).parent / "screens"
SLOW_NPM = """\
echo "npm warn deprecated a-package-with-a-long-name@1.2.3: it is old, and its line is longer than a terminal"
while [ ! -e '@GO@' ]; do sleep 0.1; done
echo "npm error network"
exit 1
"""


def settled(shown: Screen, name: str) -> str:
    """Without what differs from run to run: the digest in the instance's name, which may be wrapped, and times."""
    digest = name.rpartition("-")[2]
    wrapped = "(\n?)".join(map(re.escape, digest))
    text = re.sub(wrapped, lambda found: "x".join(("", *found.groups(), "")), shown.show())
    text = re.sub(r"\b\d+ (s|MB)\b", r"N \1", text)
    return text.replace("  | agentvm: N MB so far\n", "") + "\n"


@pytest.mark.parametrize("columns", [80, 40])
def test_a_live_line_and_the_last_lines_of_what_failed(ready: World, columns: int) -> None:
    name = ready.instance()
    go = ready.directory / "go"
    ready.add_program("npm", SLOW_NPM.replace("@GO@", str(go)))
    environment = ready.environment | {"AGENTVM_CODEX_INSTALL_CMD": ""}
    words = ["sh", "-c", '"$@"; echo "status $?"; sleep 60', "sh", *program(), "update", "codex"]
    with screen(words, ready.project, environment, columns) as shown:
        shown.await_one({"live": "agentvm: update codex in"})
        wait_for(lambda: "MB so far" in shown.show() or columns < 60)
        live = settled(shown, name)
        go.touch()
        shown.await_one({"over": "status 1"})
        over = settled(shown, name)
    expect(f"update-live-{columns}", live)
    expect(f"update-failed-{columns}", over)


def expect(name: str, text: str) -> None:
    """What was seen is what a person once looked at and found good; with RENEW set it becomes so, and git shows the change."""
    file = GOLDEN / f"{name}.txt"
    if os.environ.get(RENEW):
        file.write_text(text)
    assert text.strip() == file.read_text().strip(), text


def test_plain_lines_where_nobody_looks(world: World) -> None:
    done = world.ok("shell", "--", "true")
    lines = done.err.splitlines()
    assert all(line.startswith(("agentvm: ", "(fake) ")) for line in lines), lines
    assert any(re.fullmatch(r"agentvm: clone agentvm-base-g1 to agentvm-web-\w{8}", line) for line in lines)
    assert any(re.fullmatch(r"agentvm: start agentvm-web-\w{8}", line) for line in lines)
    assert done.out == ""


def test_quiet_says_nothing_and_still_fails_aloud(world: World) -> None:
    assert world.ok("--quiet", "shell", "--", "true") == (0, "", "")
    world.ok("stop")
    world.fail_with(3, "apt-get")
    done = world.run("--quiet", "base", "apply")
    assert (done.status, done.out) == (1, "")
    assert "Provisioning failed" in done.err
    assert len(done.err.splitlines()) == 2
