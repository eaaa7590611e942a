from __future__ import annotations

import threading
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentvm.console import printable
from agentvm.progress import Heard, Live, Plain, Silent, Work, amount, duration, fit, line, width

CLEAR = "\r\033[K"


class Screen:
    """Keeps what is written, and lets a test wait until something was."""

    def __init__(self, columns: int = 80) -> None:
        self.text = ""
        self.wide = columns
        self.works: list[Work | None] = []
        self._news = threading.Condition()

    def attach(self, work: Work | None) -> None:
        self.works.append(work)

    def write(self, text: str) -> None:
        with self._news:
            self.text += text
            self._news.notify_all()

    def clean(self, text: str) -> str:
        return printable(text)

    def fold(self, text: str) -> str:
        return text

    def live_columns(self) -> int:
        return self.wide

    def wait_for(self, text: str) -> None:
        with self._news:
            assert self._news.wait_for(lambda: text in self.text, 30), self.text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min"), (125, "2 min 5 s"), (3600, "1 h"), (4200, "1 h 10 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (1, "1 byte"), (70_000, "68 KiB"), (12 * 2**20, "12 MiB"), (3 * 2**29, "1.5 GiB")],
)
def test_amounts(count: int, text: str) -> None:
    assert amount(count) == text


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        (80, "agentvm: start web-1, 7 s: booting, final step 1 of 1"),
        (40, "agentvm: start web-1, 7 s: booting, ..."),
        (26, "agentvm: start web-1, 7 s"),
        (20, "agentvm: st..., 7 s"),
        (12, "age..., 7 s"),
        (4, "..."),
        (1, ""),
    ],
)
def test_a_line_is_narrower_than_the_terminal(columns: int, text: str) -> None:
    assert line("start web-1", 7, "booting, final step 1 of 1", columns) == text


@given(st.text(), st.integers(min_value=0, max_value=200))
def test_any_text_fits(text: str, columns: int) -> None:
    shown = fit(text, columns)
    assert width(shown) <= columns
    assert "\n" not in shown


def test_wide_characters_take_two_columns() -> None:
    assert fit("漢字漢字漢字", 9) == "漢字漢..."


def test_the_last_lines_are_kept_whatever_the_pieces() -> None:
    heard = Heard()
    for piece in ("o", "ne\ntw", "o\n\n", "   \nth"):
        heard.add(piece)
    assert heard.lines == ("one", "two", "th")
    assert heard.last == "th"
    for number in range(1000):
        heard.add(f"{number}\n")
    assert heard.lines == tuple(map(str, range(988, 1000)))
    heard.add("x" * 1_000_000)
    assert len(heard.last) == 2000


def test_a_live_line_is_written_over_and_what_is_said_stands_above_it() -> None:
    screen = Screen()
    steps = count()
    with Live("start web", screen, lambda: f"step {next(steps)}") as work:
        screen.wait_for(f"{CLEAR}agentvm: start web, 0 s: step 0")
        screen.wait_for(f"{CLEAR}agentvm: start web, 0 s: step 1")
        work.aside("agentvm: by the way\n")
    assert f"{CLEAR}agentvm: by the way\n" in screen.text
    assert screen.text.endswith(f"{CLEAR}agentvm: start web\n") or "start web (1 s)\n" in screen.text
    assert screen.works == [work, None]


def test_a_live_line_follows_the_width() -> None:
    screen = Screen()
    with Live("start web", screen, lambda: "a long tale of what is going on"):
        screen.wait_for("a long tale of what is going on")
        screen.wide = 30
        screen.wait_for(f"{CLEAR}agentvm: start web, 0 s: a...")


def test_what_a_program_says_is_hidden_until_it_fails() -> None:
    screen = Screen()
    with Live("do it", screen, str) as work:
        work.hear("one\ntwo\n")
        screen.wait_for(": two")
    assert "| one" not in screen.text
    with pytest.raises(ValueError, match="no"):
        fail(screen, "".join(f"{number}\n" for number in range(20)) + "the end")
    shown = "".join(f"  | {number}\n" for number in range(9, 20)) + "  | the end\n"
    assert screen.text.endswith(CLEAR + shown)


def fail(screen: Screen, said: str) -> None:
    with Live("do it", screen, str) as work:
        work.hear(said)
        raise ValueError("no")


def test_plain_lines_tell_of_stages_but_not_of_every_look() -> None:
    screen = Screen()
    with Plain("start web", screen, lambda: "booting") as work:
        screen.wait_for("agentvm:   1 s: booting\n")
        work.hear("said\n")
    assert screen.text == "agentvm: start web\nagentvm:   1 s: booting\nsaid\n"


def test_nothing_of_a_stage_drives_the_terminal() -> None:
    screen = Screen()
    with Live("x\033[2J", screen, lambda: "\033]0;title\007"):
        screen.wait_for("title")
    assert not {"\033", "\007"} & set(screen.text.replace(CLEAR, ""))


def test_silence() -> None:
    screen = Screen()
    with Silent("start web", screen, lambda: "booting") as work:
        work.hear("said\n")
    assert screen.text == ""
