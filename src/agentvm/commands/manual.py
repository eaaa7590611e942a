"""The manual page, in the form that man reads (man(7) of groff and mandoc), made from the same pages as `--help`."""

from __future__ import annotations

from collections.abc import Iterator

from agentvm import __version__
from agentvm.commands.entry import CommandEntry
from agentvm.commands.layout import Page, Rows, fill
from agentvm.commands.pages import LEAD, USAGE, command_blocks, sentence
from agentvm.commands.table import GLOBAL_OPTIONS, GROUPS
from agentvm.commands.topics import TOPICS

_DATE = "2026-11-24"
"""Of the last change of its words."""
_WIDTH = 78
_ESCAPES = str.maketrans(
    {"\\": "\\e", "-": "\\-", "'": "\\(aq", '"': "\\(dq", "~": "\\(ti", "^": "\\(ha", "…": "...", "`": "\\(ga"}
)
_SECTIONS = {"settings": "ENVIRONMENT"}
"""Topics that have another name by custom."""


def manual() -> str:
    """The whole page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield f'.TH AGENTVM 1 {_DATE} "agentvm {__version__}"'
    yield from (".SH NAME", f"agentvm \\- {_text(LEAD[0].lower() + LEAD[1:].rstrip('.'))}")
    yield from (".SH SYNOPSIS", *_paragraph(USAGE.removeprefix("usage: ")))
    yield from (".SH OPTIONS", *_terms((option.term, option.help) for option in GLOBAL_OPTIONS))
    yield ".SH COMMANDS"
    for title, commands in GROUPS:
        yield f".SS {_text(title)}"
        for command in commands:
            yield from _command(command)
    for topic in TOPICS.values():
        yield f".SH {_SECTIONS.get(topic.name, topic.name.upper().replace('-', ' '))}"
        yield from _page(topic.page())
    yield from (".SH SEE ALSO", ".BR limactl (1),", ".BR ssh (1)")


def _command(command: CommandEntry) -> Iterator[str]:
    yield from (".TP", f"\\fB{_text(command.usage)}\\fP", *_paragraph(sentence(command.summary)))
    if blocks := command_blocks(command):
        yield from (".RS", ".PP", *_page(blocks), ".RE")


def _page(page: Page) -> Iterator[str]:
    for number, block in enumerate(page):
        if isinstance(block, Rows):
            if block.title:
                yield from ([".PP"] if number else [])
                yield from _paragraph(f"{block.title}:")
            yield from _terms(block.rows)
        else:
            yield from ([".PP"] if number else [])
            yield from _paragraph(block)


def _terms(rows: Iterator[tuple[str, str]] | tuple[tuple[str, str], ...]) -> Iterator[str]:
    for term, text in rows:
        yield from (".TP", f"\\fB{_text(term)}\\fP", *_paragraph(text))


def _paragraph(text: str) -> list[str]:
    """Lines of text; what is between backquotes is bold. None begins like a request."""
    pieces = text.split("`")
    whole = "".join(f"\\fB{_text(piece)}\\fP" if number % 2 else _text(piece) for number, piece in enumerate(pieces))
    return [f"\\&{line}" if line.startswith(".") else line for line in fill(whole, _WIDTH)]


def _text(text: str) -> str:
    return text.translate(_ESCAPES)
