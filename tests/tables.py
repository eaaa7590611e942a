"""Tables that tests fill while they run: what was tried, what happened, what was lost. They are printed at the end.

A test that belongs to a table carries the table's name as a marker; `python3 build.py table NAME` runs those alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

TABLES = {
    "faults": "what became of a command that failed, hung or was killed",
    "together": "many agentvms at once",
    "quoting": "generated names and values on their way into a guest",
    "attacks": "what a hostile guest tried, and what happened",
    "modes": "each agent with each AGENTVM_CONFIG",
}
Record = Callable[..., None]


class Row(NamedTuple):
    """One case, or many of one kind: `tried` of them, of which `survived` ended as they must."""

    case: str
    outcome: str
    tried: int
    survived: int


_ROWS = pytest.StashKey[dict[str, list[Row]]]()
_PROPERTY = "row of a table"
"""How a row travels with its test's report, from the process that ran it too."""


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_ROWS] = {}
    config.pluginmanager.register(_Collector(config.stash[_ROWS]), "agentvm-tables")
    for name, meaning in TABLES.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")


class _Collector:
    """Gathers the rows of all reports, which are text and numbers alone."""

    def __init__(self, rows: dict[str, list[Row]]) -> None:
        self._rows = rows

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "teardown":
            for name, value in report.user_properties:
                if name == _PROPERTY and isinstance(value, list | tuple):
                    table, case, outcome, tried, survived = value
                    row = Row(str(case), str(outcome), int(tried), int(survived))
                    self._rows.setdefault(str(table), []).append(row)


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """Add a row to the table that the test's marker names: `record("kill -9 while cloning", "made anew", tried=1)`."""
    names = [name for name in TABLES if request.node.get_closest_marker(name)]
    assert len(names) == 1, "a test that records has the marker of one table"

    def add(case: str, outcome: str, tried: int = 1, survived: int | None = None) -> None:
        row = (case, outcome, tried, tried if survived is None else survived)
        request.node.user_properties.append((_PROPERTY, (names[0], *row)))

    return add


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for name, rows in config.stash[_ROWS].items():
        terminalreporter.section(f"{name}: {TABLES[name]}")
        width = max(len(row.case) for row in rows)
        for row in rows:
            terminalreporter.write_line(f"{row.case:{width}}  {row.survived:>6}/{row.tried:<6}  {row.outcome}")
        tried, survived = sum(row.tried for row in rows), sum(row.survived for row in rows)
        terminalreporter.write_line(f"{'together':{width}}  {survived:>6}/{tried:<6}")
