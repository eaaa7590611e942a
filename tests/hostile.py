"""Text that makes trouble on its way into a guest, ten thousand pieces at a time."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import islice
from typing import TypeVar

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

CASES = 10_000
_BATCH = 40
"""Pieces that one process gets to see: so many that starting it hardly counts, so few that a failure names a culprit."""
_SHELL = "'\"\\$`!*?[]{}()<>|&;#~ \t\n\r-=%^@:,/."
_YAML = "{}[]&*!|>%@`,:#-?'\"\\~ \x85\xa0\u2028\u2029\ufeff"

# Text that a process can be given: anything but NUL, and lone surrogates only where they stand for a byte.
WORDS = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20),
    st.binary(max_size=20).filter(lambda data: b"\0" not in data).map(os.fsdecode),
    st.text(st.sampled_from(_SHELL), max_size=12),
)
NAMES = st.one_of(
    st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1, max_size=20),
    st.text(st.sampled_from((_SHELL + _YAML).replace("/", "")), min_size=1, max_size=12),
    st.sampled_from(
        ("$(id)", "{{.Home}}", "a,path=", "-rf", "--help", "it's", 'say "hi"', "a b", "日本", "a: b", "a #b")
    ),
).filter(lambda name: name not in (".", ".."))
"""Names of files, in UTF-8."""
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(lambda names: "/" + "/".join(names))

T = TypeVar("T")


def try_many(values: st.SearchStrategy[T], check: Callable[[list[T]], object], cases: int = CASES) -> int:
    """Generate so many cases, all different, and check them in batches; how many were checked.

    They are generated one by one: in long lists Hypothesis soon repeats itself.
    """
    found: dict[T, None] = {}

    @settings(max_examples=cases * 5 // 4, deadline=None, database=None, phases=[Phase.generate])
    @given(values)
    def collect(value: T) -> None:
        found[value] = None

    collect()
    queue = iter(found)
    while batch := list(islice(queue, _BATCH)):
        try:
            check(batch)
        except Exception:
            # The culprit alone is easier to read.
            for one in batch:
                check([one])
            raise
    assert len(found) >= cases
    return len(found)
