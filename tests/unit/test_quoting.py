from __future__ import annotations

import os
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentvm.quoting import join, quote

HOSTILE = (
    "",
    " ",
    "-n",
    "'",
    "''",
    "'\\''",
    '"',
    "\\",
    "\\n",
    "$HOME",
    "$(id)",
    "`id`",
    "*",
    "~",
    "~root",
    "a\nb",
    "\n",
    "\t",
    "\r",
    "!!",
    "#",
    "a;b",
    "a&b|c>d<e",
    "{a,b}",
    "%s",
    "\x01\x7f\x1b[31m",
    "naïve",
    "\N{SNOWMAN}",
    "\udcff\udc80",
)


def through_sh(words: list[str]) -> list[str]:
    """What a real sh makes of the quoted words."""
    command = "printf '%s\\0' " + join(tuple(words))
    done = subprocess.run(["sh", "-s"], input=os.fsencode(command), stdout=subprocess.PIPE, check=True)
    return [os.fsdecode(word) for word in done.stdout.split(b"\0")[:-1]]


def test_hostile_words_arrive_unchanged() -> None:
    assert through_sh(list(HOSTILE)) == list(HOSTILE)


# Text that a process can be given: anything but NUL, and lone surrogates only where they stand for a byte.
WORDS = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    st.binary().filter(lambda data: b"\0" not in data).map(os.fsdecode),
    st.text(st.sampled_from("'\"\\$`!*?[]{}()<>|&;#~ \t\n-=")),
)


@settings(max_examples=50, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=40))
def test_any_words_arrive_unchanged(words: list[str]) -> None:
    assert through_sh(words) == words


@pytest.mark.parametrize("text", ["\0", "a\0b"])
def test_nul_fits_no_word(text: str) -> None:
    with pytest.raises(ValueError, match="NUL"):
        quote(text)
