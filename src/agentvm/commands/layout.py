"""Pages of words, laid out for a terminal of some width.

A page is a tuple of blocks: a text is a paragraph, and `Rows` are terms with what is to be said of each.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_INDENT = 2
_GAP = 2
_HANG = 6


class Rows:
    """Terms and their texts below a title. `code` are terms that nobody may break, since they are there to be copied."""

    def __init__(self, title: str, rows: Iterable[tuple[str, str]], code: bool = False) -> None:
        self.title = title
        self.rows = tuple(rows)
        self.code = code


Page = tuple["str | Rows", ...]


def lay_out(page: Page, width: int) -> str:
    """The page as lines that are no longer than `width`, but for words and code that are."""
    return "\n\n".join(
        "\n".join(_rows(block, width) if isinstance(block, Rows) else fill(block, width)) for block in page
    )


def _rows(block: Rows, width: int) -> Iterator[str]:
    yield from fill(block.title, width) if block.title else ()
    limit = width * 3 // 5 if block.code else width // 2 - _INDENT
    column = max((len(term) for term, _ in block.rows if len(term) <= limit), default=0)
    # Where no term fits beside its text, all texts are indented alike.
    margin = _INDENT + column + _GAP if column else _HANG
    for term, text in block.rows:
        lines = fill(text, width - margin)
        if len(term) <= limit and lines:
            yield f"{'':{_INDENT}}{term:{column}}{'':{_GAP}}{lines.pop(0)}"
        else:
            yield from [f"{'':{_INDENT}}{term}"] if block.code else _hang(term, width)
        yield from (f"{'':{margin}}{line}" for line in lines)


def _hang(term: str, width: int) -> list[str]:
    first, *others = fill(term, width - _HANG)
    return [f"{'':{_INDENT}}{first}", *(f"{'':{_HANG - 1}}{line}" for line in others)]


def fill(text: str, width: int) -> list[str]:
    """A paragraph as lines."""
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
