"""The table of sharing modes is true as far as this goes: every agent and mode is in it, and every test that it names is there."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest

from agentvm.agents import AGENTS
from tests.docs.named import ROOT, collect, missing

PAGE = ROOT / "docs" / "sharing.md"
MODES = ("shared", "overlay", "isolated")


class Row(NamedTuple):
    number: int
    what: str
    cells: tuple[str, ...]
    tests: tuple[str, ...]


def read_rows() -> list[Row]:
    found = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and cells[0].isdigit():
            number, what, *modes, tests = cells
            found.append(Row(int(number), what, tuple(modes), tuple(re.findall(r"`([^`]+)`", tests))))
    return found


ROWS = read_rows()


@pytest.fixture(scope="module")
def collected() -> set[str]:
    return collect(test for row in ROWS for test in row.tests)


def test_no_line_of_the_table_is_overlooked() -> None:
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    assert len(lines) == len(ROWS) + 2
    assert [row.number for row in ROWS] == list(range(1, len(ROWS) + 1))


@pytest.mark.parametrize("row", ROWS, ids=[str(row.number) for row in ROWS])
def test_each_cell_says_something_and_its_tests_are_there(row: Row, collected: set[str]) -> None:
    assert len(row.cells) == len(MODES)
    assert all(row.cells)
    assert row.tests
    assert missing(row.tests, collected) == []


@pytest.mark.parametrize("agent", AGENTS)
def test_each_agent_has_its_settings_sessions_and_login_there(agent: str) -> None:
    said = [row.what for row in ROWS if row.what.startswith(f"{agent}: ")]
    for part in ("settings", "sessions", "login"):
        assert any(part in what for what in said), part


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("agent", AGENTS)
def test_each_agent_in_each_mode_is_run_for_it(agent: str, mode: str) -> None:
    wanted = f"agents/test_modes.py::test_each_agent_in_each_mode[{agent}-{mode}]"
    assert any(wanted in row.tests for row in ROWS)
