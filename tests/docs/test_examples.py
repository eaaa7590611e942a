"""Every line of the examples is run on the fake backend, in the order of its page; the few that can't be say what runs them."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli.world import World
from tests.docs.named import ROOT, collect, missing
from tests.docs.pages import PAGES, Block, read_page
from tests.docs.stage import Outcome, Stage, Step, split_lines, strip_comment

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
MOVED = (
    "mkdir -p ~/old/moved ~/new && cd ~/old/moved && agentvm shell -- true && mv ~/old/moved ~/new && cd ~/new/moved"
)
FILES = """echo 1 >report.csv && agentvm shell -- sh -c 'mkdir -p ~/out/pages; echo 1 | tee ~/out/pages/index.html >~/notes.txt'"""
HOOK = ".git/hooks/post-checkout"
ASTRAY = f"""agentvm shell -- sh -c 'echo "echo surprise" >{HOOK}; chmod +x {HOOK}'"""
BEFORE = {
    ("README.md", ""): "mkdir -p ~/projects/shop",
    ("docs/how-to.md", ""): f'{SHOP} && cp -r "$CHECKOUT/manifests" .',
    ("docs/how-to.md", "Copy files"): FILES,
    ("docs/how-to.md", "Move a project"): "mkdir ~/web ~/sites && cd ~/web && agentvm shell -- true",
    ("docs/how-to.md", "Bring a project to the newest base"): "mkdir ~/web && cd ~/web && agentvm shell -- true",
    ("docs/reference.md", ""): SHOP,
    ("docs/reference.md", "`agentvm review [PATH…] [--restore] [--accept] [--json]`"): ASTRAY,
    ("docs/reference.md", "`agentvm cp PATH… [--recursive]`"): f"cd ~/shop && {FILES}",
    ("docs/reference.md", "`agentvm adopt [INSTANCE]`"): MOVED,
    ("docs/sharing.md", ""): SHOP,
    ("docs/tutorial.md", "See what a session changed"): "kill $! && wait",
}
"""What is there already when a page or one of its sections begins."""
WHOLE = {
    # Whoever types it has a second terminal.
    SERVER: f"{SERVER} & until (exec 3<>/dev/tcp/127.0.0.1/{PORT}) 2>/dev/null; do sleep 0.1; done",
    "agentvm codex exec 'tidy up'": ASTRAY,
    "agentvm cp agentvm-shop-1a2b3c4d:notes.txt .": 'agentvm cp "$(agentvm status --json | jq -r .instance):notes.txt" .',
}
"""What is run for a line that does not end by itself, needs a real agent, or names one computer's VM."""
ANSWERS = {"agentvm uninstall": "y", "agentvm uninstall --vms": "y"}
"""What asks, on a terminal."""
SAID_TO_FAIL = {
    ("docs/tutorial.md", "agentvm stop"): 1,
    ("docs/tutorial.md", "agentvm review"): 1,
    ("docs/how-to.md", "agentvm review"): 1,
    ("docs/reference.md", "agentvm review"): 1,
}
"""What ends with another status than 0, as its page says, the first time that it stands there."""

WITH_EXAMPLES = [
    path for path in PAGES if any(block.language in ("bash", "console") for block in read_page(path).blocks)
]


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
    return any(re.fullmatch(known, line) for known in (OF_THE_CHECKOUT.pattern, *ELSEWHERE))


def free_port() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


def normalise(text: str) -> str:
    """Without what differs from one computer and one run to the next, and without the width of columns."""
    for pattern, instead in (
        (r"\b(\d{4}-\d\d-\d\d|\d{8})-\d{6}-\d+\b", "TIME"),
        (r"(?<=-)[0-9a-f]{8}\b", "HASH"),
        (r"\b\d+(\.\d+)? ?[KMG]?i?B\b", "SIZE"),
        (r"\b\d+(\.\d+)+\b", "VERSION"),
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


def test_what_is_not_run_here_is_run_by_tests_that_are_there() -> None:
    assert missing(ELSEWHERE.values(), collect(ELSEWHERE.values())) == []


def test_every_exception_is_needed() -> None:
    lines = {
        (page.name, line) for page in map(read_page, PAGES) for block in page.blocks for line, _ in read_lines(block)
    }
    headings = {(page.name, block.heading) for page in map(read_page, PAGES) for block in page.blocks}
    texts = {line for _, line in lines}
    for known in ELSEWHERE:
        assert any(re.fullmatch(known, line) for line in texts), known
    assert {*WHOLE, *ANSWERS} <= texts
    assert set(SAID_TO_FAIL) <= lines
    assert {place for place in BEFORE if place[1]} <= headings


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_blocks_are_of_kinds_that_tests_read(path: Path) -> None:
    page = read_page(path)
    pictures = [block for block in page.blocks if block.language == ""]
    assert len(pictures) <= (page.name == "docs/explanation.md")
    assert {block.language for block in page.blocks if block not in pictures} <= {"bash", "console", "toml"}


def test_commands_of_the_checkout_are_there() -> None:
    texts = [line for path in PAGES for block in read_page(path).blocks for line, _ in read_lines(block)]
    inline = [code for path in PAGES for code in read_page(path).code]
    named = {found[1] for text in (*texts, *inline) if (found := OF_THE_CHECKOUT.fullmatch(text))}
    told = subprocess.run(
        [sys.executable, str(ROOT / "build.py"), "--help"], check=True, capture_output=True, text=True
    ).stdout
    assert named - {""} <= set(re.findall(r"python3 build\.py (\w+)", told))


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("agentvm stop   # why", "agentvm stop"),
        ("# only this", ""),
        ("echo 'a # b' # c", "echo 'a # b'"),
        ("echo a#b", "echo a#b"),
    ],
)
def test_comments_are_no_part_of_a_line(line: str, command: str) -> None:
    assert strip_comment(line) == command


@pytest.mark.parametrize(
    ("printed", "shown", "same"),
    [
        ("agentvm-web-1a2b3c4d  3m  2.1GiB\n", "agentvm-web-00ff00ff 12s 140KiB\n", True),
        ("a\n…\nd\n", "a\nb\nc\nd\n", True),
        ("a\n…\n", "a\n", True),
        ("a …\n", "a b\n", True),
        ("codex 1.2.3\n", "codex 0.169.0\n", True),
        ("generation 1\n", "generation 2\n", False),
        ("a\n", "a\nb\n", False),
    ],
)
def test_what_is_shown_is_compared(printed: str, shown: str, same: bool) -> None:
    assert bool(re.fullmatch(pattern_of(printed), normalise(shown))) is same
