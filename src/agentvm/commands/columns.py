"""Tables that fit: columns shrink to the width that there is, and then drop, the least important first."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from agentvm import terminal
from agentvm.console import one_line, tie, untie
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
    """One column. One whose `least` is 0 never shrinks; of those whose `drop` is not 0 the highest drops first."""

    title: str
    drop: int = 0
    least: int = 0
    """Cells that are left of it before a column is dropped."""
    floor: int = 0
    """Cells that are left when there is nothing to drop any more; 0 is as `least`."""
    keep_end: bool = False
    """The end of a cell tells more than its beginning, as of a path."""


def fit(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None) -> str:
    """The table with its titles. Without a width, as for a file or a pipe, everything is whole."""
    titles = [column.title for column in columns]
    if width is None:
        return table([titles, *rows])
    lines = [[on_one_line(cell) for cell in row] for row in (titles, *rows)]
    full = _widths(lines)
    shown = _choose(columns, full, width)
    least = [_least(columns[n], full[n], columns[n].least) for n in shown]
    if _total(least) > width:
        least = [_least(columns[n], full[n], columns[n].floor or columns[n].least) for n in shown]
    widths = _shrink([full[n] for n in shown], least, width)
    cut = [[_cut(line[n], room, columns[n].keep_end) for n, room in zip(shown, widths, strict=True)] for line in lines]
    return "\n".join(cut_to(line, width) for line in _join(cut, widths).split("\n"))


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned columns, as wide as what is in them."""
    lines = [[on_one_line(cell) for cell in row] for row in rows]
    return _join(lines, _widths(lines))


def _widths(lines: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(cells, column)) for column in zip(*lines, strict=True)]


def _choose(columns: Sequence[Column], full: Sequence[int], width: int) -> list[int]:
    """The numbers of the columns for which there is room."""
    shown = list(range(len(columns)))
    while _total([_least(columns[n], full[n], columns[n].least) for n in shown]) > width:
        droppable = [number for number in shown if columns[number].drop]
        if not droppable:
            break
        shown.remove(max(droppable, key=lambda number: columns[number].drop))
    return shown


def pairs(rows: Sequence[tuple[str, str]], width: int | None) -> str:
    """Names and values, where a value that is too long goes on below itself: nothing is left out."""
    indent = max(cells(name) for name, _ in rows) + len(_GAP)
    return "\n".join(wrap(f"{name:{indent}}", on_one_line(value), width, indent) for name, value in rows)


def wrap(head: str, text: str, width: int | None, indent: int) -> str:
    """A text behind the head of its first line, going on below itself; one line without a width."""
    if width is None:
        return head + text
    import textwrap

    # The first line's place for the head, which itself is not to be broken.
    hang, room = " " * indent, max(width, indent + 10)
    lines = textwrap.wrap(
        tie(text), room, initial_indent=" " * cells(head), subsequent_indent=hang, break_on_hyphens=False
    )
    return untie("\n".join([head + lines[0][cells(head) :], *lines[1:]])) if lines else head.rstrip()


def cells(text: str) -> int:
    """How many places of a terminal a text takes."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)


def on_one_line(text: str) -> str:
    """A path or a name may have a line break in it, which must make no row of its own."""
    return one_line(text, len(text))


def cut_to(text: str, width: int) -> str:
    return _cut(text, width, keep_end=False)


def _least(column: Column, full: int, least: int) -> int:
    return min(full, max(least, cells(column.title))) if least else full


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * max(0, len(widths) - 1)


def _shrink(full: Sequence[int], least: Sequence[int], width: int) -> list[int]:
    """Take from the column that has the most to give, until all fit or none can give any more."""
    widths = list(full)
    while (over := _total(widths) - width) > 0:
        spare = [have - need for have, need in zip(widths, least, strict=True)]
        number = max(range(len(widths)), key=lambda n: spare[n])
        if spare[number] <= 0:
            break
        second = max((s for n, s in enumerate(spare) if n != number), default=0)
        widths[number] -= min(over, spare[number], max(1, spare[number] - second))
    return widths


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
