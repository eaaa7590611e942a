"""The table of situations is true as far as this goes: every test that it names is there."""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

import pytest

from tests.docs.named import ROOT, collect, missing

PAGE = ROOT / "docs" / "situations.md"
LEAST = 30


class Row(NamedTuple):
    number: int
    host: str
    answer: str
    tests: tuple[str, ...]


def read_rows() -> list[Row]:
    lines = re.findall(r"^\| (\d+) \| (.+) \| (.+) \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [
        Row(int(number), host, answer, tuple(re.findall(r"`([^`]+)`", tests))) for number, host, answer, tests in lines
    ]


ROWS = read_rows()


@pytest.fixture(scope="module")
def collected() -> set[str]:
    return collect(test for row in ROWS for test in row.tests)


def test_there_are_many_and_they_are_counted() -> None:
    assert len(ROWS) >= LEAST
    assert [row.number for row in ROWS] == list(range(1, len(ROWS) + 1))


def test_no_line_of_the_table_is_overlooked() -> None:
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    heads = [line for line in lines if line.startswith(("| | the host |", "|---"))]
    assert len(lines) == len(ROWS) + len(heads)


@pytest.mark.parametrize("row", ROWS, ids=[str(row.number) for row in ROWS])
def test_its_tests_are_there(row: Row, collected: set[str]) -> None:
    assert row.tests
    assert missing(row.tests, collected) == []


def test_no_situation_and_no_test_is_there_twice() -> None:
    assert [name for name, count in Counter(name for row in ROWS for name in row.tests).items() if count > 1] == []
    # "the same" is as good an answer in two rows; the same situation is not.
    assert [key for key, count in Counter((row.host, row.answer) for row in ROWS).items() if count > 1] == []
