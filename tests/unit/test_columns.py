"""Tables at every width: nothing is wider than the terminal, and what matters stays."""

from __future__ import annotations

import pytest

from agentvm.commands.columns import Column, cells, cut_to, fit, pairs, wrap

COLUMNS = (
    Column("NAME", least=8),
    Column("STATUS"),
    Column("AGE", drop=2),
    Column("DISK", drop=1),
    Column("PROJECT", least=6, keep_end=True),
)
ROWS = [
    ("agentvm-web-1a2b3c4d", "running", "3d", "1.5GiB", "/home/user/projects/web"),
    ("agentvm-b-11111111", "stopped", "5h", "800MiB", "/home/user/größe/日本語"),
]


def test_without_a_width_everything_is_whole() -> None:
    assert fit(COLUMNS, ROWS, None).splitlines() == [
        "NAME                  STATUS   AGE  DISK    PROJECT",
        "agentvm-web-1a2b3c4d  running  3d   1.5GiB  /home/user/projects/web",
        "agentvm-b-11111111    stopped  5h   800MiB  /home/user/größe/日本語",
    ]


def test_columns_shrink_before_one_is_dropped() -> None:
    assert fit(COLUMNS, ROWS, 50).splitlines() == [
        "NAME           STATUS   AGE  DISK    PROJECT",
        "agentvm-web..  running  3d   1.5GiB  ..rojects/web",
        "agentvm-b-1..  stopped  5h   800MiB  ..röße/日本語",
    ]


def test_the_least_important_is_dropped_first() -> None:
    assert fit(COLUMNS, ROWS, 38).splitlines()[0].split() == ["NAME", "STATUS", "DISK", "PROJECT"]
    assert fit(COLUMNS, ROWS, 28).splitlines()[0].split() == ["NAME", "STATUS", "PROJECT"]


@pytest.mark.parametrize("width", range(1, 80))
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert all(cells(line) <= width for line in fit(COLUMNS, ROWS, width).splitlines())


def test_a_cell_has_one_line() -> None:
    assert fit((Column("A"), Column("B")), [("a\nb", "c\td")], None) == "A    B\na b  c d"


@pytest.mark.parametrize(("text", "places"), [("abc", 3), ("größe", 5), ("日本", 4), ("e\u0301", 1), ("", 0)])
def test_places_are_counted_as_a_terminal_does(text: str, places: int) -> None:
    assert cells(text) == places


@pytest.mark.parametrize(
    ("width", "text"), [(9, "long text"), (8, "long t.."), (3, "l.."), (2, ".."), (1, "."), (0, "")]
)
def test_what_is_cut_says_so(width: int, text: str) -> None:
    assert cut_to("long text", width) == text


def test_a_long_value_goes_on_below_itself() -> None:
    rows = [("project", "/home/user/web"), ("status", "running; the next run changes what is shared")]
    assert pairs(rows, 40).splitlines() == [
        "project  /home/user/web",
        "status   running; the next run changes",
        "         what is shared",
    ]
    assert pairs(rows, None).splitlines()[1] == "status   running; the next run changes what is shared"


def test_a_word_that_is_too_long_begins_beside_its_name_and_is_broken() -> None:
    assert wrap("ok  ", "shares /a/very/long/path/that/is", 20, 4).splitlines() == [
        "ok  shares /a/very/l",
        "    ong/path/that/is",
    ]
    assert wrap("ok  ", "", 20, 4) == "ok"


def test_names_are_whole_as_long_as_something_else_can_go() -> None:
    columns = (Column("NAME", least=30, floor=8), *COLUMNS[1:])
    assert fit(columns, ROWS, 44).splitlines()[1].split() == ["agentvm-web-1a2b3c4d", "running", "..rojects/web"]
    assert fit(columns, ROWS, 30).splitlines()[1].startswith("agentv")
