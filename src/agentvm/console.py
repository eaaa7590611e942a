"""The one printer: stdout is the product, stderr the conversation."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Console:
    """Where agentvm speaks. `verbosity` is -1 for --quiet, 1 for --verbose, else 0."""

    def __init__(self, verbosity: int = 0) -> None:
        self.verbosity = verbosity
        self._decode: Callable[[bytes], str] | None = None

    def say(self, text: str) -> None:
        """One line of the conversation."""
        if self.verbosity >= 0:
            _write(sys.stderr, f"agentvm: {printable(text)}\n")

    def detail(self, text: str) -> None:
        if self.verbosity > 0:
            _write(sys.stderr, f"agentvm: {printable(text)}\n")

    def fail(self, text: str) -> None:
        """Said even with --quiet."""
        _write(sys.stderr, f"agentvm: {printable(text)}\n")

    def pass_on(self, data: bytes) -> None:
        """What a program in a guest says while something takes long."""
        if self.verbosity >= 0:
            _write(sys.stderr, printable(self._decoded(data)))

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


def printable(text: str) -> str:
    """The text without control characters but tab and newline: what a guest wrote must not drive the user's terminal."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in "\n\t" else "" if char == "\r" else "\N{REPLACEMENT CHARACTER}"
        for char in text
    )


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
