"""Command lines within sentences and tables are read by the program's own table of commands: names, options and operands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from agentvm.cli import parse_options
from agentvm.commands.arguments import parse, read
from agentvm.commands.entry import AFTER_DASHES, CommandEntry
from agentvm.commands.table import GLOBAL_OPTIONS, find_command, find_part
from agentvm.errors import UsageError
from tests.docs.named import ROOT
from tests.docs.pages import PAGES, read_page
from tests.docs.stage import split_lines

PLACEHOLDERS = {"AGENT": "codex", "SHELL": "bash", "TIME": "2h"}
"""Words that stand for one of several, and one of these."""
_USAGE = re.compile(r"[\[\]…]|\S\|\S")


def command_lines(path: Path) -> list[str]:
    """All that begins with agentvm, also behind variables, in the page's code."""
    page = read_page(path)
    lines = [line for block in page.blocks if block.language == "bash" for line in split_lines(block.text)]
    return [found[1] for code in (*lines, *page.code) if (found := re.match(r"(?:[A-Z_]+=\S* )*agentvm (.+)$", code))]


def check(line: str) -> None:
    """Raise UsageError for what agentvm itself would not take."""
    if _USAGE.search(line) and " | " not in line:
        check_usage(line)
        return
    # What comes after the first program of a line of shell is not agentvm's.
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in lexer:
        if set(word) <= set("|&;<>()"):
            break
        words.append(PLACEHOLDERS.get(word, word))
    _, rest = parse_options(words)
    if rest and rest[0] != "COMMAND":
        _read(find_command(rest[0]), tuple(rest[1:]))


def _read(command: CommandEntry, words: tuple[str, ...]) -> None:
    if not words or command.program or {"-h", "--help"} & set(command.own(words)):
        # Without more, a sentence only names the command.
        return
    if command.passes_on == AFTER_DASHES:
        words = command.own(words)
    if not command.parts:
        parse(command.name, words)
    else:
        read(find_part(command, words[0]), words[1:])


def check_usage(line: str) -> None:
    """A line that tells how a command is used: each of its names and options is there."""
    words = [word for word in re.split(r"[\s\[\]…]+", line) if word]
    names = words[0].split("|")
    options = {option.name for option in GLOBAL_OPTIONS} | {option.short for option in GLOBAL_OPTIONS}
    for command in map(find_command, names):
        entries = [command]
        if command.parts and len(words) > 1:
            entries += [find_part(command, name) for name in words[1].split("|")]
        options |= {name for entry in entries for option in entry.options for name in (option.name, option.short)}
    for option in (part for word in words[1:] for part in word.split("|") if part.startswith("-") and part != "--"):
        if option not in options:
            raise UsageError(f"There is no option {option!r}.", line)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_command_lines_are_understood(path: Path) -> None:
    wrong = []
    for line in command_lines(path):
        try:
            check(line)
        except UsageError as problem:
            wrong.append(f"agentvm {line}: {problem.message}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "line",
    [
        "stopp",
        "stop --idel 2h",
        "stop --idle",
        "run nobody",
        "base initialise",
        "base snapshot --hard",
        "list --json --all",
        "stop [INSTANCE] [--forced]",
        "base init|aply",
        "claude|codexx",
        "--dry-runs stop",
        "help stop one two",
    ],
)
def test_what_agentvm_would_not_take_is_found(line: str) -> None:
    with pytest.raises(UsageError):
        check(line)
