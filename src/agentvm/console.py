"""The one printer: stdout is the product, stderr the conversation."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from agentvm.progress import Work


_BOUND = "\N{NO-BREAK SPACE}"
_NARROWEST = 20
"""Columns of a terminal, up to which lines are left to it."""


class Console:
    """Where agentvm speaks. `verbosity` is -1 for --quiet, 1 for --verbose, else 0.

    `live` says whether stderr is a terminal on which a line can be written over.
    """

    def __init__(self, verbosity: int = 0, live: bool = False) -> None:
        self.verbosity = verbosity
        self.live = live
        self._decode: Callable[[bytes], str] | None = None
        self._work: Work | None = None

    def say(self, text: str) -> None:
        """One line of the conversation."""
        if self.verbosity >= 0:
            self._line(text)

    def detail(self, text: str) -> None:
        if self.verbosity > 0:
            self._line(text)

    def fail(self, text: str) -> None:
        """Said even with --quiet."""
        self._line(text)

    def pass_on(self, data: bytes) -> None:
        """What a program in a guest says while something takes long; on a terminal its last words, in the live line."""
        if self.verbosity >= 0:
            text = printable(self._decoded(data))
            self._work.hear(text) if self._work else self.write(text)

    def work(self, what: str, look: Callable[[], str] = str) -> Work:
        """Tell, for the time of a `with`, of something that takes long; `look` says in a few words how far it is."""
        from agentvm.progress import Live, Plain, Silent

        if self.verbosity < 0:
            return Silent(what, self, look)
        return Live(what, self, look) if self.live and self.verbosity == 0 else Plain(what, self, look)

    def attach(self, work: Work | None) -> None:
        """For a work: that it begins, or is over."""
        self._work = work

    def stage(self, text: str) -> None:
        """How far the present work is."""
        if self._work:
            self._work.tell(text)

    def write(self, text: str) -> None:
        _write(sys.stderr, text)

    def clean(self, text: str) -> str:
        return printable(text)

    def live_columns(self) -> int:
        """Of the terminal with the live line, now: it may be resized."""
        try:
            return os.get_terminal_size(2).columns or 80
        except OSError:
            return 80

    def _line(self, text: str) -> None:
        shown = self.fold(f"agentvm: {_indented(printable(text))}\n")
        self._work.aside(shown) if self._work else self.write(shown)

    def fold(self, text: str) -> str:
        """The text with lines that end between words where stderr is a terminal; elsewhere it is somebody's to search."""
        try:
            columns = os.get_terminal_size(2).columns
        except OSError:
            return text
        return "\n".join(folded(line, columns) for line in text.split("\n")) if columns > _NARROWEST else text

    def columns(self) -> int:
        """How many the terminal has that shows what was asked for; 0 when it is no terminal, or does not tell."""
        try:
            return os.get_terminal_size(1).columns
        except OSError:
            return 0

    def width(self) -> int:
        """Columns for text: the terminal's, but no more than people like to read, and enough for a word."""
        return max(20, min(self.columns() or 80, 80))

    def _decoded(self, data: bytes) -> str:
        """A character may come in two pieces."""
        if self._decode is None:
            import codecs

            self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        return self._decode(data)

    def product(self, text: str) -> None:
        """What was asked for; may have several lines."""
        _write(sys.stdout, printable(text) + "\n")

    def confirm(self, question: str) -> bool:
        """Ask the person at the terminal; only a clear yes is one."""
        _write(sys.stderr, f"agentvm: {printable(question)} [y/N] ")
        return sys.stdin.readline().strip().lower() in ("y", "yes")


def printable(text: str) -> str:
    """The text without control characters but tab and newline: what a guest wrote must not drive the user's terminal."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in "\n\t" else "" if char == "\r" else "\N{REPLACEMENT CHARACTER}"
        for char in text
    )


def one_line(text: str, most: int = 300) -> str:
    """What a guest or another program said, as a part of a sentence of ours: it can't end the line, nor fill the screen."""
    shown = printable(text[: most + 1]).translate({9: " ", 10: " "})
    return shown if len(shown) <= most else f"{shown[:most]}…"


def _indented(text: str) -> str:
    """Further lines begin with spaces: no text from elsewhere shall look like one more sentence of agentvm's."""
    first, *more = text.split("\n")
    return "\n".join((first, *(line if line.startswith("  ") else f"  {line}".rstrip() for line in more)))


def folded(line: str, columns: int) -> str:
    """The line, going on below itself. A word that no line has room for, like a path, stays where it is."""
    if line.isascii() and len(line) <= columns:
        return line
    from agentvm.progress import width

    if width(line) <= columns:
        return line
    words, indent = tie(line).split(" "), " " * (len(line) - len(line.lstrip(" ")) + 2)
    text, used = words[0], width(words[0])
    for word in words[1:]:
        long = width(word)
        if used + 1 + long <= columns or len(indent) + long > columns:
            text, used = f"{text} {word}", (used + long) % columns + 1
        else:
            text, used = f"{text}\n{indent}{word}", len(indent) + long
    return untie(text)


def tie(text: str) -> str:
    """The text with spaces that no line ends at between its backticks: what is there is to be copied."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return text
    return "`".join(part.replace(" ", _BOUND) if number % 2 else part for number, part in enumerate(parts))


def untie(text: str) -> str:
    return text.replace(_BOUND, " ")


def _write(stream: object, text: str) -> None:
    """Write and flush; a reader that went away is no reason to fail, nor is a terminal that can't show a character."""
    buffer = getattr(stream, "buffer", None)
    if buffer is None:
        return
    try:
        buffer.write(text.encode(errors="backslashreplace"))
        buffer.flush()
    except OSError:
        # Python would try the rest again at its end, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), buffer.fileno())
