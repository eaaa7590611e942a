"""What is said while something takes long where nobody looks; what a terminal shows then is among the scenes."""

from __future__ import annotations

import re

from tests.cli.world import World


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
