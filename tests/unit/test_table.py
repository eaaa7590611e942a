"""Every row of the table of commands has its parts, and they fit together."""

from __future__ import annotations

import re
import shlex

import pytest

from agentvm import agents
from agentvm.cli import parse_options
from agentvm.commands import base
from agentvm.commands.arguments import parse, read
from agentvm.commands.entry import CommandEntry, Operand, Option
from agentvm.commands.table import AGENTS, COMMANDS, GLOBAL_OPTIONS, SHELLS, choices, find_command
from agentvm.commands.topics import TOPICS
from agentvm.errors import UsageError

ROWS = {row.name: row for command in COMMANDS.values() for row in (command, *command.parts)}
KINDS = {"", "agent", "directory", "file", "instance", "page", "shell"}


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.name)
def test_a_row_is_whole(row: CommandEntry) -> None:
    assert re.fullmatch(r"[a-z][a-z -]*", row.name)
    assert row.summary
    assert not row.summary.endswith(".")
    for option in row.options:
        assert re.fullmatch(r"--[a-z][a-z-]*", option.name)
        assert re.fullmatch(r"(-[a-zA-Z])?", option.short)
        assert re.fullmatch(r"[A-Z]*", option.value)
        assert option.help
    for operand in row.operands:
        assert re.fullmatch(r"[A-Z]+", operand.name)
        assert operand.help
    parts: list[Option | Operand] = [*row.options, *row.operands]
    assert {part.completes for part in parts} <= KINDS
    assert not [operand for operand in row.operands[:-1] if operand.many]
    keys = [part.key for part in parts]
    assert len(set(keys)) == len(keys)
    # The completions put these between single quotes, where fish reads backslashes and zsh a first colon.
    texts = [row.summary, *(option.help for option in row.options)]
    assert not [text for text in texts if "\\" in text or "\n" in text or "\t" in text]


@pytest.mark.parametrize("command", COMMANDS.values(), ids=lambda command: command.name)
def test_a_command_leads_to_its_function_and_has_examples(command: CommandEntry) -> None:
    assert callable(command.load())
    assert command.examples
    for line, text in command.examples:
        assert text
        assert f"agentvm {command.name}" in line or f"agentvm --dry-run {command.name}" in line
        for words in _own_command_lines(line):
            options, rest = parse_options(words)
            assert not options.version
            row = find_command(rest[0])
            if not row.passes_on:
                part = rest.pop(1) if row.parts else None
                parse(row.name, tuple(rest[1:]), part)


def _own_command_lines(line: str) -> list[list[str]]:
    """The words behind each `agentvm` in a line of shell."""
    if inner := re.fullmatch(r'eval "\$\((.*)\)"', line):
        line = inner[1]
    lines: list[list[str]] = [[]]
    for word in shlex.shlex(line, posix=True, punctuation_chars=True):
        if set(word) <= set("|&"):
            lines.append([])
        else:
            lines[-1].append(word)
    return [words[words.index("agentvm") + 1 :] for words in lines if "agentvm" in words]


def test_the_table_and_what_it_speaks_of_are_the_same() -> None:
    assert set(AGENTS) == set(agents.AGENTS)
    assert {part.name for part in COMMANDS["base"].parts} == {f"base {name}" for name in base.COMMANDS}
    assert {row.name for row in COMMANDS.values() if row.program} == set(agents.PROGRAMS)
    assert all(re.fullmatch(r"[a-z][a-z-]*", name) and topic.summary and topic.page() for name, topic in TOPICS.items())
    assert choices("shell") == SHELLS


def test_the_options_before_the_command_are_those_of_the_table() -> None:
    for option in GLOBAL_OPTIONS:
        for word in filter(None, (option.name, option.short)):
            read = vars(parse_options([word, "status"])[0])
            assert read != vars(parse_options(["status"])[0]), word


COMMAND = CommandEntry("move", "a made-up one", options=(Option("--to", "where to", "PLACE"), Option("--force", "all")))


def test_values_of_options() -> None:
    assert read(COMMAND, ("--to", "here", "--force")).to == "here"
    assert read(COMMAND, ("--to=--here",)).to == "--here"
    assert (read(COMMAND, ()).to, read(COMMAND, ()).force) == (None, False)
    for words, reason in ((("--to",), "needs a value, PLACE"), (("--force=1",), "takes no value")):
        with pytest.raises(UsageError, match=reason):
            read(COMMAND, words)
