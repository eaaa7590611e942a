"""Tables that fit: columns shrink to the width that there is, and then drop, the least important first."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from agentvm import terminal
from agentvm.context import Context

_GAP = "  "
_CUT = ".."


def screen_width(context: Context) -> int | None:
    """The width of the terminal that standard output is; None when it is none, or one that doesn't know."""
    if not context.host.stdout_terminal:
        return None
    _, width, _, _ = struct.unpack("HHHH", terminal.window_size(1))
    return width or None


class Column(NamedTuple):
    """One column. A column whose `least` is 0 never shrinks; one whose `drop` is 0 never drops, else the highest goes first."""

    title: str
    drop: int = 0
    least: int = 0
    """Cells that are left of it before a column is dropped."""
    keep_end: bool = False
    """The end of a cell tells more than its beginning, as of a path."""


def fit(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None) -> str:
    """The table with its titles. Without a width, as for a file or a pipe, everything is whole."""
    lines = [[column.title for column in columns], *([_on_one_line(cell) for cell in row] for row in rows)]
    if width is None:
        return _join(lines, [_widest(lines, number) for number in range(len(columns))])
    shown = list(range(len(columns)))
    while (narrowest := _total([_least(columns[n], _widest(lines, n)) for n in shown])) > width:
        droppable = [number for number in shown if columns[number].drop]
        if not droppable:
            break
        shown.remove(max(droppable, key=lambda number: columns[number].drop))
    widths = [_widest(lines, number) for number in shown]
    _shrink(widths, [_least(columns[n], full) for n, full in zip(shown, widths, strict=True)], max(width, narrowest))
    cut = [[_cut(line[n], room, columns[n].keep_end) for n, room in zip(shown, widths, strict=True)] for line in lines]
    return "\n".join(cut_to(line, width) for line in _join(cut, widths).split("\n"))


def pairs(rows: Sequence[tuple[str, str]], width: int | None) -> str:
    """Names and values, where a value that is too long goes on below itself: nothing is left out."""
    indent = max(cells(name) for name, _ in rows) + len(_GAP)
    return "\n".join(wrap(f"{name:{indent}}{_on_one_line(value)}", width, indent) for name, value in rows)


def wrap(text: str, width: int | None, indent: int) -> str:
    """One line of text as lines of this width, all but the first indented; one line without a width."""
    if width is None:
        return text
    import textwrap

    room = max(width, indent + 20)
    return textwrap.fill(text, room, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)


def cells(text: str) -> int:
    """How many places of a terminal a text takes."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)


def cut_to(text: str, width: int) -> str:
    return _cut(text, width, keep_end=False)


def _on_one_line(cell: str) -> str:
    """A path may have a newline in it, which must not break the table."""
    return "".join("?" if char in "\n\t\r" else char for char in cell)


def _widest(lines: Sequence[Sequence[str]], number: int) -> int:
    return max(cells(line[number]) for line in lines)


def _least(column: Column, full: int) -> int:
    return min(full, max(column.least, cells(column.title))) if column.least else full


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * max(0, len(widths) - 1)


def _shrink(widths: list[int], least: Sequence[int], width: int) -> None:
    """Take from the column that has the most to give, until all fit."""
    while (over := _total(widths) - width) > 0:
        spare = [have - need for have, need in zip(widths, least, strict=True)]
        number = max(range(len(widths)), key=lambda n: spare[n])
        if spare[number] <= 0:
            return
        second = max((s for n, s in enumerate(spare) if n != number), default=0)
        widths[number] -= min(over, spare[number], max(1, spare[number] - second))


def _cut(text: str, width: int, keep_end: bool) -> str:
    if cells(text) <= width:
        return text
    room = max(0, width - len(_CUT))
    kept = text
    while kept and cells(kept) > room:
        kept = kept[1:] if keep_end else kept[:-1]
    return (f"{_CUT}{kept}" if keep_end else f"{kept}{_CUT}")[: max(width, 0)]


def _join(lines: Sequence[Sequence[str]], widths: Sequence[int]) -> str:
    return "\n".join(
        _GAP.join(cell + " " * (room - cells(cell)) for cell, room in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
