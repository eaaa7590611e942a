"""Changes as lines: short, and without anything in them that a terminal obeys."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agentvm.tripwire.difference import LONGEST, SHORT, differences, show, visible
from agentvm.tripwire.ledger import ABSENT, Change
from agentvm.tripwire.places import Area, Place, Root

TEXT = st.one_of(
    st.text(max_size=300),
    st.binary(max_size=60).map(lambda data: data.decode(errors="surrogateescape")),
    st.text(st.sampled_from("\x1b[]0;\x07\x9b\u202e\u2028\r\n\b\0\ud800 a"), max_size=60),
)


@given(TEXT, TEXT, st.lists(TEXT, max_size=30), st.lists(TEXT, max_size=30))
@example("\x1b]0;t\x07", "\nagentvm: all is well", ["\u202egnp"], [])
def test_nothing_hostile_reaches_a_terminal(path: str, runner: str, before: list[str], after: list[str]) -> None:
    change = Change(Root("/p", Area.TREE), path, Place("x", runner), tuple(before), tuple(after), "known")
    lines = list(show(change, "/p", "/home/me", SHORT))
    assert all(line.isprintable() for line in lines)
    assert len(lines) <= SHORT + 2
    assert max(map(len, lines)) <= 2 * LONGEST


@given(st.lists(st.sampled_from("abc"), max_size=40), st.lists(st.sampled_from("abc"), max_size=40))
def test_the_lines_lead_from_one_to_the_other(before: list[str], after: list[str]) -> None:
    lines = list(differences(tuple(before), tuple(after)))
    gone, come = (sum(line[0] == sign for line in lines) for sign in "-+")
    assert len(before) - gone == len(after) - come
    assert (lines == []) == (before == after)


def test_many_lines_are_only_counted() -> None:
    one, other = tuple(f"a{n}" for n in range(5000)), tuple(f"b{n}" for n in range(5000))
    assert list(differences(one, other)) == ["- 5000 lines", "+ 5000 lines"]
    assert list(differences(one, (*one, "evil"))) == ["+ evil"]


@pytest.mark.parametrize(
    ("known", "after", "path", "expected"),
    [
        (ABSENT, ("x",), "/p/.envrc", ".envrc: new; run by the shell"),
        ("file", ("x",), "/home/me/.claude/a", "~/.claude/a: changed; run by the shell"),
        ("file", (), "/other/a", "/other/a: gone; run by the shell"),
    ],
)
def test_the_first_line_says_what_and_by_what(known: str, after: tuple[str, ...], path: str, expected: str) -> None:
    root, _, name = path.rpartition("/")
    change = Change(Root(root, Area.TREE), name, Place("x", "the shell"), ("y",) if known else (), after, known)
    assert next(show(change, "/p", "/home/me", SHORT)) == expected


def test_escapes_can_be_read() -> None:
    assert visible("a\x1b[31m\tb\r\u202e", 80) == "a\\x1b[31m    b\\r\\u202e"
    assert visible("x" * 200, 10) == "x" * 9 + "…"
