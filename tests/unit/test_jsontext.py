"""JSON read by the scanner alone is what json.loads returns."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentvm.jsontext import load_json

REFUSED = object()
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES, st.sampled_from([None, 1]), st.booleans())
def test_it_reads_what_json_writes(value: Any, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert load_json(f" \n{text}\r\n\t") == value
    if ascii_only:
        assert load_json(text.encode()) == value


@given(st.text('[]{},:"\\u0123456789.eE+-truefalsn \n', max_size=12))
def test_it_takes_the_same_for_json(text: str) -> None:
    assert read(load_json, text) == read(json.loads, text)


@pytest.mark.parametrize("content", [b"", b" ", b"{}{}", b"\xff", b"\xef\xbb\xbf{}", "\ufeff{}", "{} x"])
def test_it_refuses_what_is_none(content: bytes | str) -> None:
    assert read(load_json, content) is REFUSED


def test_nesting_has_its_end() -> None:
    with pytest.raises(RecursionError):
        load_json("[" * (sys.getrecursionlimit() * 100))


def read(load: Callable[[Any], Any], content: bytes | str) -> object:
    try:
        return load(content)
    except ValueError:
        return REFUSED
