"""The one place where text becomes a word of shell text."""

from __future__ import annotations


def quote(text: str) -> str:
    """One POSIX shell word that stands for exactly `text`. Raises ValueError for NUL, which no shell word can hold."""
    if "\0" in text:
        raise ValueError("a shell word can't hold a NUL")
    return "'" + text.replace("'", "'\\''") + "'"


def join(words: tuple[str, ...]) -> str:
    """A command line of exactly these words."""
    return " ".join(map(quote, words))
