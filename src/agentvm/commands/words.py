"""Words for people: the nearest name, columns, durations, and the arguments of our own commands."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import NoReturn

from agentvm.errors import UsageError


def nearest(word: str, known: Iterable[str]) -> str:
    """ " Did you mean X?", or nothing."""
    from difflib import get_close_matches

    found = get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" Did you mean {found[0]!r}?" if found else ""


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned columns, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


class Arguments(argparse.ArgumentParser):
    """The arguments of one of our own commands. Mistakes are UsageErrors; help is printed by who asked for it."""

    def __init__(self, command: str) -> None:
        super().__init__(prog=f"agentvm {command}", add_help=False, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {message}.", f"`{self.prog} --help` shows how to use it.")
