from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import agentvm
from agentvm.console import Console, folded, one_line, printable

LOST = "\N{REPLACEMENT CHARACTER}"
SOURCES = str(Path(agentvm.__file__).parents[1])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("naïve \N{SNOWMAN}", "naïve \N{SNOWMAN}"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("carriage\r\nreturn", "carriage\nreturn"),
        ("\033]0;title\007", f"{LOST}]0;title{LOST}"),
        ("\033[2J", f"{LOST}[2J"),
        ("\x9b2J", f"{LOST}2J"),
        ("back\b\b", f"back{LOST}{LOST}"),
        ("\N{RIGHT-TO-LEFT OVERRIDE}txt.exe", f"{LOST}txt.exe"),
        ("\udcff", LOST),
    ],
)
def test_nothing_printed_drives_the_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("agentvm: it is as wide as it", "agentvm: it is as wide as it"),
        ("agentvm: it is wider than there is", "agentvm: it is wider than\n  there is"),
        ("  a hint that goes on", "  a hint that goes on"),
        ("  a hint that is longer than a line", "  a hint that is longer than\n    a line"),
        ("do this now: `agentvm rm` and go on", "do this now: `agentvm rm`\n  and go on"),
        ("try what it says: `agentvm rm`", "try what it says:\n  `agentvm rm`"),
        ("an odd ` is no bound of anything", "an odd ` is no bound of\n  anything"),
        (f"see /{'x' * 30} for more of it", f"see /{'x' * 30} for more of it"),
        (f"see /{'x' * 30} for more, and for even more", f"see /{'x' * 30} for more, and for\n  even more"),
        ("中" * 10 + " and more", "中" * 10 + " and\n  more"),
    ],
)
def test_lines_end_between_words(line: str, shown: str) -> None:
    assert folded(line, 28) == shown


@pytest.mark.parametrize(
    ("verbosity", "lines"),
    [
        (-1, ["agentvm: fail"]),
        (0, ["agentvm: say", "agentvm: fail", "passed"]),
        (1, ["agentvm: say", "agentvm: detail", "agentvm: fail", "passed"]),
    ],
)
def test_the_conversation(verbosity: int, lines: list[str], capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    console = Console(verbosity)
    console.say("say")
    console.detail("detail")
    console.fail("fail")
    console.pass_on(b"passed\n")
    console.product("product")
    out, err = capfdbinary.readouterr()
    assert out == b"product\n", "the product is said whatever the verbosity"
    assert err.decode().splitlines() == lines


def test_what_a_guest_says_is_cleaned(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    Console().pass_on(b"\033[31mred\xff\r\n")
    assert capfdbinary.readouterr().err.decode() == f"{LOST}[31mred{LOST}\n"


SPEAK = """
import sys
from agentvm.console import Console
Console().product("x" * 1_000_000)
Console().fail("y" * 1_000_000)
sys.exit(7)
"""


@pytest.fixture
def broken_pipe() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def speak(stdout: int, stderr: int, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", SPEAK],
        env={"PYTHONPATH": SOURCES} | environment,
        stdout=stdout,
        stderr=stderr,
        check=False,
    )


def test_a_reader_that_went_away_is_no_failure(broken_pipe: int) -> None:
    try:
        assert speak(broken_pipe, broken_pipe).returncode == 7
    finally:
        os.close(broken_pipe)


def test_text_that_the_locale_can_not_show(tmp_path: Path) -> None:
    code = 'from agentvm.console import Console; Console().product("\\N{SNOWMAN}")'
    environment = {"PYTHONPATH": SOURCES, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, check=True)
    assert done.stdout.decode() == "\N{SNOWMAN}\n"


def test_further_lines_are_indented(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """What comes from elsewhere can't add a line that looks like agentvm's."""
    Console().fail("it says:\nagentvm: all is well\r\n  a hint")
    assert capfdbinary.readouterr().err == b"agentvm: it says:\n  agentvm: all is well\n  a hint\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain  text", "plain  text"),
        ("two\nlines\tand\r\n", "two lines and "),
        ("\033[2J", f"{LOST}[2J"),
        ("x" * 300, "x" * 300),
        ("x" * 301, "x" * 300 + "…"),
        ("x" * 10_000_000, "x" * 300 + "…"),
    ],
)
def test_a_part_of_a_sentence_is_one_bounded_line(text: str, shown: str) -> None:
    assert one_line(text) == shown
