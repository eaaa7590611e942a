"""Durations and sizes, as people write and read them."""

from __future__ import annotations

import pytest

from agentvm.commands.quantities import parse_duration, show_age, show_duration, show_size
from agentvm.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"), [("90m", 5400), ("2h", 7200), ("30d", 2592000), ("1w", 604800), ("01h", 3600)]
)
def test_durations_are_read(text: str, seconds: int) -> None:
    assert parse_duration(text, "--idle") == seconds


@pytest.mark.parametrize(
    "text", ["", "2", "h", "2 h", "-2h", "+2h", "1.5h", "2H", "2s", "0h", "2h30m", "٣h", "999999999w"]
)
def test_what_is_no_duration_is_refused_with_the_option_and_examples(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_duration(text, "--idle")
    assert caught.value.message == f"--idle: {text!r} is no duration."
    assert "90m, 2h, 30d or 1w" in caught.value.hint


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0s"), (0, "0s"), (59.9, "59s"), (60, "1m"), (3599, "59m"), (3600, "1h"), (86399, "23h"), (691200, "8d")],
)
def test_durations_are_told_in_their_largest_unit(seconds: float, text: str) -> None:
    assert show_duration(seconds) == text


def test_an_unknown_age_is_a_dash() -> None:
    assert show_age(0) == "-"


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0B"),
        (1023, "1023B"),
        (1024, "1.0KiB"),
        (10 * 2**20, "10MiB"),
        (int(1.5 * 2**30), "1.5GiB"),
        (5000 * 2**40, "5000TiB"),
    ],
)
def test_sizes_have_their_unit(size: int, text: str) -> None:
    assert show_size(size) == text
