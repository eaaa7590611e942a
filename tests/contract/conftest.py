"""The contract is checked on the fake, and on real Lima where that is asked for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.worlds import World, make_fake, make_lima, obstacle_to_lima

_MAKERS = {"fake": make_fake} if obstacle_to_lima() else {"fake": make_fake, "lima": make_lima}


@pytest.fixture(scope="module", params=_MAKERS)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = _MAKERS[request.param](tmp_path_factory.mktemp("world"))
    try:
        yield made
    finally:
        made.remove()
    assert not list(made.instances.glob(f"{made.prefix}-*"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if obstacle := obstacle_to_lima():
        terminalreporter.write_line(f"The contract was checked on the fake only: {obstacle}.")
