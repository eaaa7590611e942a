"""The table of situations is true as far as this goes: every test that it names is there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.agents.machines import SWITCH

ROOT = Path(__file__).parents[2]
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
    """What pytest itself finds in the files that the page names, by the page's names."""
    files = sorted({f"tests/{test.partition('::')[0]}" for row in ROWS for test in row.tests})
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *files],
        cwd=ROOT,
        # Without it those with the real agents are not collected at all.
        env=os.environ | {SWITCH: "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    return {line.removeprefix("tests/") for line in done.stdout.splitlines() if line.startswith("tests/")}


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
    for name in row.tests:
        assert name in collected or any(known.startswith(f"{name}[") for known in collected), name


def test_no_situation_and_no_test_is_there_twice() -> None:
    assert [name for name, count in Counter(name for row in ROWS for name in row.tests).items() if count > 1] == []
    # "the same" is as good an answer in two rows; the same situation is not.
    assert [key for key, count in Counter((row.host, row.answer) for row in ROWS).items() if count > 1] == []
