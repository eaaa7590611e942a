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
    """The page as lines that are no longer than `width`, but for code and words that are."""
    terms = [term for block in page if isinstance(block, Rows) and not block.code for term, _ in block.rows]
    column = _column(terms, width // 2 - _INDENT)
    return "\n\n".join("\n".join(_block(block, width, column)) for block in page)


def _column(terms: Iterable[str], limit: int) -> int:
    """How wide terms are that have their texts beside them; 0 where so few would fit that all texts go below."""
    lengths = [len(term) for term in terms]
    fitting = [length for length in lengths if length <= limit]
    return max(fitting, default=0) if 2 * len(fitting) >= len(lengths) else 0


def _block(block: str | Rows, width: int, column: int) -> Iterator[str]:
    if not isinstance(block, Rows):
        yield from fill(block, width)
        return
    if block.code:
        column = _column((term for term, _ in block.rows), width * 3 // 5)
    yield from fill(block.title, width) if block.title else ()
    for term, text in block.rows:
        yield from _row(term, text, width, column) if column else _below(term, text, width, block.code)


def _row(term: str, text: str, width: int, column: int) -> Iterator[str]:
    margin = _INDENT + column + _GAP
    if len(term) > column or max(map(len, text.split())) > width - margin:
        yield from _below(term, text, width, code=True)
        return
    for number, line in enumerate(fill(text, width - margin)):
        yield f"{'':{_INDENT}}{'' if number else term:{column}}{'':{_GAP}}{line}"


def _below(term: str, text: str, width: int, code: bool) -> Iterator[str]:
    yield from [f"{'':{_INDENT}}{term}"] if code else _hang(term, width)
    yield from (f"{'':{_HANG}}{line}" for line in fill(text, width - _HANG))


def _hang(term: str, width: int) -> list[str]:
    first, *others = fill(term, width - _HANG)
    return [f"{'':{_INDENT}}{first}", *(f"{'':{_INDENT + _GAP}}{line}" for line in others)]


def fill(text: str, width: int) -> list[str]:
    """A paragraph as lines."""
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
