"""SECURITY.md promises nothing that no test shows."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.docs.named import ROOT, collect, missing

PAGE = ROOT / "SECURITY.md"
ATTACKS = (ROOT / "tests/cli/test_attacks.py", ROOT / "tests/smoke/test_attacks.py")


class Promise(NamedTuple):
    number: int
    text: str
    tests: tuple[str, ...]


def read_promises() -> list[Promise]:
    rows = re.findall(r"^\| (\d+) \| (.+) \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [Promise(int(number), text, tuple(re.findall(r"`([^`]+)`", tests))) for number, text, tests in rows]


PROMISES = read_promises()


@pytest.fixture(scope="module")
def collected() -> set[str]:
    return collect(test for promise in PROMISES for test in promise.tests)


def test_they_are_counted_and_none_is_overlooked() -> None:
    assert [promise.number for promise in PROMISES] == list(range(1, len(PROMISES) + 1))
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    assert len(lines) == len(PROMISES) + len(("names of the columns", "line below them"))


@pytest.mark.parametrize("promise", PROMISES, ids=[str(promise.number) for promise in PROMISES])
def test_each_is_shown(promise: Promise, collected: set[str]) -> None:
    assert promise.tests
    assert missing(promise.tests, collected) == []


def test_no_test_is_there_twice() -> None:
    assert [name for name, count in Counter(name for one in PROMISES for name in one.tests).items() if count > 1] == []


@pytest.mark.parametrize("page", ATTACKS, ids=lambda path: path.parent.name)
def test_every_attack_is_about_a_promise_or_about_what_is_none(page: Path) -> None:
    names = {node.name for node in ast.walk(ast.parse(page.read_text())) if isinstance(node, ast.FunctionDef)}
    tests = {f"{page.parent.name}/{page.name}::{name}" for name in names if name.startswith("test_")}
    named = {name.partition("[")[0] for promise in PROMISES for name in promise.tests}
    assert tests - named <= {"smoke/test_attacks.py::test_a_read_only_mount_is_remounted"}
