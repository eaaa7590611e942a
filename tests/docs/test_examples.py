"""Every line of the examples is run on the fake backend, in the order of its page; the few that can't be say what runs them."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli.world import World
from tests.docs.named import ROOT, collect, missing
from tests.docs.pages import PAGES, Block, read_page
from tests.docs.stage import Outcome, Stage, Step, split_lines

ELSEWHERE = {
    r"curl .*\$RELEASE/.*": "archive/test_release.py::test_the_one_line_of_the_readme_installs_a_release",
    r'eval "\$\(agentvm completion zsh\)"': "cli/test_completion.py::test_what_is_offered[zsh]",
    r"agentvm completion fish \| source": "cli/test_completion.py::test_what_is_offered[fish]",
    r"(ssh|scp) agentvm-.*": "cli/test_ssh.py::test_ssh_reaches_the_vm_by_both_names",
}
"""Lines that need an address, a shell or an sshd that is not here, and the test of what they do."""
OF_THE_CHECKOUT = re.compile(r"(?:\w+=\S+ )*python3 build\.py\b *(\S*).*")
"""They build, run these tests or make VMs, and `.ci/run` runs them. Here their commands are looked up."""

PORT = "8000"
"""What examples listen on; another one that is free stands for it here."""
SERVER = f"agentvm shell -- python3 -m http.server --bind 127.0.0.1 {PORT}"
SHOP = "mkdir -p ~/shop && cd ~/shop && git init --quiet && agentvm shell -- true"
FILES = """echo 1 >report.csv && agentvm shell -- sh -c 'mkdir -p ~/out/pages; echo 1 | tee ~/out/pages/index.html >~/notes.txt'"""
HOOK = ".git/hooks/post-checkout"
ASTRAY = f"""agentvm shell -- sh -c 'echo "echo surprise" >{HOOK}; chmod +x {HOOK}'"""
BEFORE = {
    ("README.md", ""): "mkdir -p ~/projects/shop",
    ("docs/how-to.md", ""): f'{SHOP} && cp -r "$CHECKOUT/manifests" .',
    ("docs/how-to.md", "See what a session left for your computer to run"): ASTRAY,
    ("docs/how-to.md", "Copy files"): FILES,
    ("docs/how-to.md", "Move a project"): "mkdir ~/web ~/sites && cd ~/web && agentvm shell -- true",
    ("docs/how-to.md", "Bring a project to the newest base"): "mkdir ~/web && cd ~/web && agentvm shell -- true",
    ("docs/reference.md", ""): SHOP,
    ("docs/reference.md", "`agentvm review [PATH…] [--restore] [--accept] [--json]`"): ASTRAY,
    ("docs/reference.md", "`agentvm cp PATH… [--recursive]`"): f"cd ~/shop && {FILES}",
    ("docs/reference.md", "`agentvm adopt [INSTANCE]`"): "mkdir -p ~/old/moved ~/new && cd ~/old/moved && agentvm shell -- true"
    " && mv ~/old/moved ~/new && cd ~/new/moved",
    ("docs/sharing.md", ""): SHOP,
    ("docs/tutorial.md", "See what a session changed"): "kill $! && wait",
}
"""What is there already when a page or one of its sections begins."""
WHOLE = {
    # Whoever types it has a second terminal.
    SERVER: f"{SERVER} & until (exec 3<>/dev/tcp/127.0.0.1/{PORT}) 2>/dev/null; do sleep 0.1; done",
}
"""What is run for a line that does not end by itself."""
ANSWERS = {"agentvm uninstall": "y", "agentvm uninstall --vms": "y"}
"""What asks, on a terminal."""
SAID_TO_FAIL = {
    ("docs/tutorial.md", "agentvm stop"): 1,
    ("docs/tutorial.md", "agentvm review"): 1,
    ("docs/how-to.md", "agentvm review"): 1,
    ("docs/reference.md", "agentvm review"): 1,
}
"""What ends with another status than 0, as its page says, the first time that it stands there."""

WITH_EXAMPLES = [path for path in PAGES if any(block.language in ("bash", "console") for block in read_page(path).blocks)]


def read_lines(block: Block) -> Iterator[tuple[str, list[str] | None]]:
    """The command lines of a block, each with the lines that the page says it prints, if it says so."""
    if block.language == "bash":
        yield from ((line, None) for line in split_lines(block.text))
    elif block.language == "console":
        for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
            command, *printed = part.splitlines()
            yield command, printed


def is_elsewhere(line: str) -> bool:
    return any(re.fullmatch(known, line) for known in (OF_THE_CHECKOUT, *ELSEWHERE))


class Example(NamedTuple):
    """A line, and what its page says of it: what it prints, if that is there, and how it ends."""

    line: str
    printed: str | None = None
    status: int = 0


def examples_of(name: str) -> list[Example]:
    """All lines of a page that are run here, with what has to be there for them."""
    found, heading, failing = [], None, dict(SAID_TO_FAIL)
    for block in (Block("", "", ""), *read_page(ROOT / name).blocks):
        if block.heading != heading:
            heading = block.heading
            found += [Example(line) for line in (BEFORE.get((name, heading)),) if line]
        for line, printed in read_lines(block):
            if not is_elsewhere(line):
                found.append(Example(line, printed, failing.pop((name, line), 0)))
    return found


def read_lines(block: Block) -> Iterator[tuple[str, str | None]]:
    """The command lines of a block, each with what it prints, where the page has that."""
    if block.language == "bash":
        yield from ((line, None) for line in split_lines(block.text))
    elif block.language == "console":
        for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
            command, _, printed = part.partition("\n")
            yield command, printed


def is_elsewhere(line: str) -> bool:
    return any(re.fullmatch(known, line) for known in (OF_THE_CHECKOUT, *ELSEWHERE))


def free_port() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


def normalise(text: str) -> str:
    """Without what differs from one computer and one run to the next, and without the width of columns."""
    for pattern, instead in (
        (r"\b(\d{4}-\d\d-\d\d|\d{8})-\d{6}-\d+\b", "TIME"),
        (r"(?<=-)[0-9a-f]{8}\b", "HASH"),
        (r"\b\d+(\.\d+)+\b(?!\.)", "VERSION"),
        (r"\b(VERSION|\d+) ?[KMG]?i?B\b", "SIZE"),
        (r"\b\d+[smhd]\b", "AGE"),
        (r"\bprocess \d+", "process NUMBER"),
        (r" +", " "),
        (r" +$", ""),
    ):
        text = re.sub(pattern, instead, text, flags=re.MULTILINE)
    return text


def pattern_of(printed: str) -> str:
    """`…` alone in a line stands for any lines, and within one for anything."""
    lines = [
        r"(?:.*\n)*?" if line == "…" else re.escape(line).replace("…", ".*") + r"\n"
        for line in normalise(printed).splitlines()
    ]
    return "".join(lines)


@pytest.fixture
def stage(world: World) -> Stage:
    return Stage(world)


@pytest.mark.parametrize("name", [path.relative_to(ROOT).as_posix() for path in WITH_EXAMPLES])
def test_examples_do_what_their_page_says(stage: Stage, name: str) -> None:
    examples, port = examples_of(name), free_port()
    steps = [Step(WHOLE.get(one.line, one.line).replace(PORT, port), ANSWERS.get(one.line, "")) for one in examples]
    wrong = [text for pair in zip(examples, stage.perform(steps), strict=True) if (text := complain(*pair, port))]
    assert not wrong, "\n".join(wrong)


def complain(example: Example, outcome: Outcome, port: str) -> str:
    """What a page says wrongly of a line, or nothing."""
    shown = outcome.shown.replace(port, PORT)
    if outcome.status != example.status:
        return f"$ {example.line}\n{shown}it ended with {outcome.status}, and not {example.status}"
    if example.printed is not None and not re.fullmatch(pattern_of(example.printed), normalise(shown)):
        return f"$ {example.line}\n{shown}and its page says\n{example.printed}"
    return ""
