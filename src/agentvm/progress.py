"""What is going on, for how long and how far: one live line on a terminal, plain lines elsewhere.

A thread of its own looks how far it is, since what takes long is a program that agentvm waits for.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

_TICK = 0.25
"""Seconds between two looks."""
_BEAT = 60.0
"""Seconds after which plain lines say that it still goes on."""
_WORTH_SAYING = 5.0
"""Seconds that something took, for a plain line about its end."""
_KEPT = 12
"""The last lines, which are shown when it fails."""
_LONGEST_LINE = 2000
"""Characters that are kept of one line: a guest may never end it."""


class Display(Protocol):
    """Where a work is shown. `write` takes text that may have control sequences of ours, `clean` takes theirs out."""

    def attach(self, work: Work | None) -> None: ...
    def write(self, text: str) -> None: ...
    def clean(self, text: str) -> str: ...
    def live_columns(self) -> int: ...


class Work:
    """Something that takes long, for the time of a `with`. `look` tells in a few words how far it is."""

    def __init__(self, what: str, display: Display, look: Callable[[], str]) -> None:
        self._what = display.clean(what)
        self._display = display
        self._look = look
        self._begin = time.monotonic()
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._heard = Heard()
        self._stage = ""
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._display.attach(self)
        self._started()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, _: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._display.attach(None)
        self._ended(problem is None)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._begin

    def tell(self, stage: str) -> None:
        """How far it is, from who knows better than a look."""
        self._stage = self._display.clean(stage)

    def aside(self, text: str) -> None:
        """Another line of the conversation."""
        with self._lock:
            self._display.write(text)

    def hear(self, text: str) -> None:
        """What a program says meanwhile."""
        self.aside(text)

    def _watch(self) -> None:
        while not self._over.wait(_TICK):
            if stage := self._look():
                self.tell(stage)
            with self._lock:
                self._tick()

    def _started(self) -> None:
        """It began."""

    def _tick(self) -> None:
        """It goes on."""

    def _ended(self, well: bool) -> None:
        """It is over."""


class Plain(Work):
    """Lines: that it began, each new stage, that it still goes on, and that it took long."""

    _shown = ""
    _last = 0.0

    def _say(self, text: str) -> None:
        self._display.write(f"agentvm: {text}\n")

    def _started(self) -> None:
        self._say(self._what)

    def _tick(self) -> None:
        if self._stage != self._shown and self.seconds >= 1:
            self._shown, self._last = self._stage, self.seconds
            self._say(f"  {duration(self.seconds)}: {self._stage}")
        elif self.seconds - self._last >= _BEAT:
            self._last = self.seconds
            self._say(f"  {duration(self.seconds)}: {self._stage or 'it still goes on'}")

    def _ended(self, well: bool) -> None:
        if self.seconds >= _WORTH_SAYING:
            self._say(f"  {'done' if well else 'it ended'} after {duration(self.seconds)}")


class Silent(Work):
    """With --quiet nothing is said."""

    def aside(self, text: str) -> None:
        """Only what is said even then comes here."""
        self._display.write(text)

    def hear(self, text: str) -> None:
        """Nobody wants to know."""


class Live(Work):
    """One line that is written over; of what is said meanwhile only the last words, or the last lines when it fails."""

    _shown = ""

    def aside(self, text: str) -> None:
        with self._lock:
            self._shown = ""
            self._display.write(f"{_CLEAR}{text}")

    def hear(self, text: str) -> None:
        with self._lock:
            self._heard.add(text)

    def _tick(self) -> None:
        shown = line(self._what, self.seconds, self._stage or self._heard.last, self._display.live_columns())
        if shown != self._shown:
            self._shown = shown
            self._display.write(f"{_CLEAR}{shown}")

    def _ended(self, well: bool) -> None:
        took = f" ({duration(self.seconds)})" if self.seconds >= 1 else ""
        self.aside(f"agentvm: {self._what}{took}\n")
        if not well and self._heard.lines:
            self.aside("".join(f"  | {heard}\n" for heard in self._heard.lines))


_CLEAR = "\r\033[K"


class Heard:
    """The last lines of a stream of text, which comes in pieces."""

    def __init__(self) -> None:
        self._kept: deque[str] = deque(maxlen=_KEPT)
        self._rest = ""

    def add(self, text: str) -> None:
        *whole, rest = (self._rest + text).split("\n")
        self._kept.extend(kept[:_LONGEST_LINE] for kept in whole if kept.strip())
        self._rest = rest[:_LONGEST_LINE]

    @property
    def lines(self) -> tuple[str, ...]:
        lines = (*self._kept, self._rest) if self._rest.strip() else tuple(self._kept)
        return lines[-_KEPT:]

    @property
    def last(self) -> str:
        return self.lines[-1].strip().removeprefix("agentvm: ") if self.lines else ""


def line(what: str, seconds: float, stage: str, columns: int) -> str:
    """One line that is narrower than the terminal: what, how long, and as much of the stage as there is room for."""
    room, took = columns - 1, f", {duration(seconds)}"
    text = fit(f"agentvm: {what}", room - len(took)) + took
    if stage and width(text) + 5 <= room:
        text += f": {stage}"
    return fit(text, room)


def fit(text: str, columns: int) -> str:
    """The text, cut to so many columns of a terminal; three dots stand for the rest."""
    text = text.replace("\t", " ").replace("\n", " ")
    if width(text) <= columns:
        return text
    kept, room = "", columns - 3
    for char in text:
        room -= width(char)
        if room < 0:
            break
        kept += char
    return (kept + "...")[: max(columns, 0)]


def width(text: str) -> int:
    """Columns that a terminal takes for it."""
    if text.isascii():
        return len(text)
    import unicodedata

    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(bool(unicodedata.combining(char)) for char in text)


def duration(seconds: float) -> str:
    """Like "7 s", "2 min 5 s" or "1 h 10 min"."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"


def amount(count: int) -> str:
    """Bytes, like "12 MiB" or "1.5 GiB"."""
    if count < 2**20:
        return f"{count // 1024} KiB"
    return f"{count // 2**20} MiB" if count < 2**30 else f"{count / 2**30:.1f} GiB"
