"""Changes as lines for people. What a guest wrote is in them, so each is printable and bounded, and stays one line."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from agentvm.paths import is_below
from agentvm.tripwire.ledger import ABSENT, Change, Lines

LONGEST = 160
"""Characters of a line."""
SHORT, LONG = 8, 400
"""Lines of one change: in the report after a session, and in a review."""
_MOST_COMPARED = 400
"""Lines that are set against each other; of more only the number is told."""


def show(change: Change, project: str, home: str, most: int) -> Iterator[str]:
    """A line about the place, then what is gone and what is new of it."""
    what = "new" if change.known == ABSENT else "changed" if change.after else "gone"
    yield visible(f"{name_of(change, project, home)}: {what}; run by {change.place.runner}", 2 * LONGEST)
    lines = list(_bounded(differences(change.before, change.after), most))
    yield from (f"  {visible(line, LONGEST)}" for line in lines)


def name_of(change: Change, project: str, home: str) -> str:
    """As the user would write it in the project's directory."""
    path = change.absolute
    if is_below(path, project):
        return os.path.relpath(path, project)
    return f"~{path[len(home) :]}" if is_below(path, home) else path


def differences(before: Lines, after: Lines) -> Iterator[str]:
    """The lines that went, with a - before them, and those that came, with a +."""
    first = _alike(before, after)
    last = _alike(before[first:][::-1], after[first:][::-1])
    before, after = before[first : len(before) - last], after[first : len(after) - last]
    if not (before and after):
        yield from (f"- {line}" for line in before)
        yield from (f"+ {line}" for line in after)
    elif len(before) + len(after) > _MOST_COMPARED:
        yield f"- {len(before)} lines"
        yield f"+ {len(after)} lines"
    else:
        yield from _matched(before, after)


def _alike(one: Lines, other: Lines) -> int:
    """How many lines are the same at the beginning."""
    pairs = zip(one, other, strict=False)
    return next((number for number, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _matched(before: Lines, after: Lines) -> Iterator[str]:
    from difflib import SequenceMatcher

    for what, start, end, begin, stop in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if what != "equal":
            yield from (f"- {line}" for line in before[start:end])
            yield from (f"+ {line}" for line in after[begin:stop])


def visible(text: str, most: int) -> str:
    """One line of printable characters; others are written as escapes, so that they neither hide nor look like more."""
    shown = "".join(letter if letter.isprintable() else _escape(letter) for letter in text[: most + 1])
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def _escape(letter: str) -> str:
    if letter == "\t":
        return "    "
    return letter.encode("unicode_escape", "surrogatepass").decode("ascii")


def _bounded(lines: Iterable[str], most: int) -> Iterator[str]:
    held = list(lines)
    yield from held[:most]
    if len(held) > most:
        yield f"… and {len(held) - most} more lines"
