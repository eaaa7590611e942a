"""What a program left set in the terminal: tables, properties, and tmux as a terminal that says how it is set."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentvm.modes import Modes

END = b"\033\\"
CANCEL = b"\030" + END


def undo(output: bytes, rows: int = 24) -> bytes:
    modes = Modes()
    modes.resize(rows)
    modes.feed(output)
    return modes.undo()


@pytest.mark.parametrize(
    ("left", "reset"),
    [
        (b"\033[?1049h", b"\033[?1049l"),
        (b"\033[?1047h", b"\033[?1047l"),
        (b"\033[?47h", b"\033[?47l"),
        (b"\033[?25l", b"\033[?25h"),
        (b"\033[?7l", b"\033[?7h"),
        *((b"\033[?%dh" % mode, b"\033[?%dl" % mode) for mode in (1000, 1002, 1003, 1005, 1006, 1015, 1016)),
        *((b"\033[?%dh" % mode, b"\033[?%dl" % mode) for mode in (1, 1004, 2004, 2026, 2031, 2048)),
        (b"\033[?1000;01006h", b"\033[?1006l\033[?1000l"),
        (b"\033=", b"\033>"),
        (b"\033[>5u", b"\033[<1u"),
        (b"\033[>5u\033[>1u\033[>u", b"\033[<3u"),
        (b"\033[=5;1u", b"\033[=0u"),
        (b"\033[=5u\033[=4;3u", b"\033[=0u"),
        (b"\033[>4;2m", b"\033[>4m"),
        (b"\033[3;20r", b"\0337\033[r\0338"),
        (b"\033[2r", b"\0337\033[r\0338"),
        (b"\033[1;23r", b"\0337\033[r\0338"),
        (b"\033(0", b"\033(B"),
        (b"\016", b"\017"),
        (b"\033[31m", b"\033[m"),
        (b"\033[1;31;48;5;0m\033[39;49m", b"\033[m"),
        (b"\033[38:2::1:2:3m", b"\033[m"),
        (b"\033[0;4:3m", b"\033[m"),
        (b"\033[5 q", b"\033[0 q"),
        (b"\033[4h", b"\033[4l"),
        (b"\033]8;id=1;https://example.org/\033\\text", b"\033]8;;" + END),
        (b"\033]8;;x:" + b"y" * 5000 + b"\a", b"\033]8;;" + END),
        (b"\033]12;#eeeeee\a", b"\033]112" + END),
        (b"\033]11;rgb:00/00/00" + END, b"\033]111" + END),
        (b"\033]0;half a tit", CANCEL),
        (b"\033P1;2q#0;2;0;0;0" + b"~" * 1000, CANCEL),
        (b"\033_Gi=1;" + b"A" * 100_000, CANCEL),
        (b"\033[38;5", CANCEL),
        (b"\033", CANCEL),
        # The keyboard's stack of a screen is taken back on that screen, and colours on the one that stays.
        (b"\033[>1u\033[?1049h\033[>5u\033[1m", b"\033[<1u\033[?1049l\033[<1u\033[m"),
        (b"\033[?25l\033[?1049h\033[?1003h\033[?25h", b"\033[?1049l\033[?1003l"),
    ],
)
def test_what_was_left_set_is_taken_back_and_nothing_else(left: bytes, reset: bytes) -> None:
    assert undo(left) == reset
    assert undo(b"\033[31mtext\033[m" + left) == reset


@pytest.mark.parametrize(
    "output",
    [
        b"plain\r\n\a\b\t",
        "h\u00e9ll\u00f6 \u2500\u2500 \U0001f600".encode(),
        b"\033[?1049h\033[?25l\033[2J\033[H text \033[?25h\033[?1049l",
        b"\033[?1049h\033[?47l",
        b"\033[?1000h\033[?1002h\033[?1006h\033[?1006;1002;1000l",
        b"\033[>5u\033[<u",
        b"\033[<u\033[<9u",
        b"\033[>1u\033[>2u\033[<2u",
        b"\033[=5u\033[=0u",
        b"\033[=5u\033[=5;3u",
        b"\033[>4;2m\033[>4m",
        b"\033[>4;2m\033[>4;0m",
        b"\033[>4;1m\033[>4n",
        b"\033[3;20r\033[r",
        b"\033[1;24r",
        b"\033[3;20r\033[1;24r",
        b"\033[3;20r\033[;r",
        b"\033(0qqq\033(B",
        b"\016qqq\017",
        b"\033[31mred\033[39m",
        b"\033[1;2;3;4;5;7;8;9m\033[22;23;24;25;27;28;29m",
        b"\033[4:3;58;2;1;2;3m\033[59m\033[4:0m",
        b"\033[38;2;1;2;3;48;5;1m text\033[0m",
        b"\033[38;5;1;m",
        b"\033[1m\033[m",
        b"\033[2 q\033[0 q",
        b"\033[6 q\033[ q",
        b"\033]8;;https://example.org/\aword\033]8;;\a",
        b"\033]12;red\a\033]112\a",
        b"\033]11;?\a\033]10;?\033\\",
        b"\033]0;a title\a\033]52;c;aGVsbG8=\033\\\033]104;2\a\033]80;x\a",
        b"\033P+q544e\033\\\033_Gi=31,s=1;AAAA\033\\",
        # What a terminal is asked, and moves of the cursor.
        b"\033[c\033[>0q\033[?u\033[?2026$p\033[6n\033[16t\0337\0338\033[s\033[u\033[10;3H\033[2K",
        # Left set by opencode, and by xterm's saving and restoring.
        b"\033[?2027h\033[?1007h\033[?12h\033[?1001s\033[?1001r",
        b"\033[?1049h\033[31m\033[>5u\033(0\033[?1003h\033[?25l\033c",
        b"\033[31m\033[?25l\033[?1h\033=\033[4h\033[2;3r\033(0\016\033[!p",
        b"\033[" + b"9" * 10_000 + b"m\033[?" + b"9" * 10_000 + b"h\033[<" + b"9" * 10_000 + b"u",
        b"\033]0;cancelled\030\033]0;cancelled\032",
    ],
)
def test_a_clean_end_adds_not_one_byte(output: bytes) -> None:
    assert undo(output) == b""


CLAUDE = (
    b"\0337\033[r\0338\033[?25h\033[?25l\033[?2004h\033[?2031h\033[?1004h\033[<u\033[>5u\033[>4;2m\033]0;\xe2\x9c\xb3 Claude\a"
    b"\033[?2026h\033[38;2;215;119;87m x \033[39m\033]8;id=1;https://code\a1\033]8;;\a\033[?2026l\033[>0q\033[?u\033[c"
)
CLAUDE_END = (
    b"\033[?25h\033[?1006l\033[?1003l\033[?1002l\033[?1000l\033[?1004l\033[>4m\033[<u\033[?2031l\033[?2004l\r\n"
)
OPENCODE = (
    b"\033[?2031h\033]10;?\a\033[?2027h\033[?1049h\033[>4;1m\033[?2004h\033[?1000h\033[?1002h\033[?1003h\033[?1006h"
    b"\033[>4;0m\033[>5u\033[?2026h\033[?25l\033[0m\033]12;#eeeeee\a\033[1 q\033[?25h\033[?2026l"
)
OPENCODE_END = (
    b"\033[?25h\033[0m\033]22;\a\033[<u\033[?1003l\033[?1002l\033[?1000l\033[?1006l\033[?2004l\033[?1049l\033[?2031l"
    b"\033]12;default\a\033]112\a\033[0 q\033[?25h"
)
CODEX = (
    b"\033[?2004h\033[>4;0m\033[>5u\033[?1004h\033[?2026h\033[?1049h\033[>4;0m\033[>5u\033[?1007h\033[?25l\033[1;1H\033[J"
    b"\033[0m\033[49m\033[K\033[?25h\033[0 q\033[?2026l"
)
CODEX_END = b"\033[<1u\033[?1007l\033[?1049l\033[1;1H\033[?25h\033[<1u\033[>4;0m\033[?2004l\033[?1004l\033[0 q\033[?25h"


@pytest.mark.parametrize(
    ("start", "end", "left"),
    [
        (CLAUDE, CLAUDE_END, b"\033[<1u\033[?1004l\033[?2031l\033[?2004l\033[?25h\033[>4m"),
        (
            OPENCODE,
            OPENCODE_END,
            b"\033[<1u\033[?1049l\033[?1006l\033[?1003l\033[?1002l\033[?1000l\033[?2004l\033[?2031l\033[0 q\033]112\033\\",
        ),
        (CODEX, CODEX_END, b"\033[<1u\033[?1049l\033[<1u\033[?1004l\033[?2004l"),
    ],
    ids=["claude", "opencode", "codex"],
)
def test_the_agents_own_sequences(start: bytes, end: bytes, left: bytes) -> None:
    """As they were recorded: killed in the middle, and ended well."""
    assert undo(start) == left
    assert undo(start + end) == b""


def test_a_new_size_ends_the_region() -> None:
    modes = Modes()
    modes.resize(24)
    modes.feed(b"\033[3;20r")
    modes.resize(24)
    assert modes.undo() != b""
    modes.resize(50)
    assert modes.undo() == b""
    modes.feed(b"\033[1;50r")
    assert modes.undo() == b""


def test_a_stopped_program_gets_back_what_it_had_set() -> None:
    modes = Modes()
    modes.feed(b"\033[>1u\033[?1049h\033[>5u\033[1;31m\033[?25l\033[?1003h\033[2;9r\033[5 q\033]12;red\a\033[38;5")
    taken = modes.undo()
    assert modes.redo() == (
        b"\033[>1u\033[?1049h\033[>5u\0337\033[2;9r\0338\033[1;31m\033[?25l\033[?1003h\033[5 q\033]12;red\033\\\033[38;5"
    )
    assert modes.undo() == taken
    modes.feed(b";1m\033[m\033[<u\033[?1049l\033[<u\033[?25h\033[?1003l\033[r\033[0 q\033]112\a")
    assert (modes.undo(), modes.redo()) == (b"", b"")


def test_the_memory_is_bounded() -> None:
    modes = Modes()
    for chunk in (
        b"\033_G" + b"A" * 4000,
        b"A" * 4096,
        b"\033[>5u" * 700,
        b"\033]8;;" + b"u" * 4000,
        b"\033[3%s" % (b"1;" * 2000),
    ):
        for _ in range(200):
            modes.feed(chunk)
    assert sum(len(repr(value)) for value in vars(modes).values()) < 300_000
    assert len(modes.redo()) < 2000


PIECES = st.sampled_from(
    [
        *(
            b"text",
            b"\a",
            b"\016",
            b"\017",
            b"\030",
            b"\033",
            b"\033[",
            b"\033\\",
            b";",
            b"0",
            b"38;5;",
            b"\xc3\xa9",
            b"m",
        ),
        *(b"\033[?1049h", b"\033[?1049l", b"\033[?25l", b"\033[?25h", b"\033[?1003h", b"\033[?2026h", b"\033[?47h"),
        *(
            b"\033[>5u",
            b"\033[<u",
            b"\033[=3;2u",
            b"\033[>4;2m",
            b"\033[2;5r",
            b"\033[r",
            b"\033(0",
            b"\033[31m",
            b"\033[m",
        ),
        *(
            b"\033[1;4:3m",
            b"\033[22m",
            b"\033[3 q",
            b"\033]8;;x\a",
            b"\033]8;;\a",
            b"\033]12;red\a",
            b"\033P",
            b"\033_",
        ),
        *(b"\033=", b"\033>", b"\033[4h", b"\033c", b"\033[!p", b"\033]0;title"),
    ]
)
OUTPUT = st.lists(st.one_of(PIECES, st.binary(max_size=4)), max_size=40).map(b"".join)


@given(OUTPUT, st.lists(st.integers(1, 9), max_size=60))
def test_chunks_make_no_difference(output: bytes, sizes: list[int]) -> None:
    modes = Modes()
    modes.resize(24)
    rest = output
    for size in sizes:
        modes.feed(rest[:size])
        rest = rest[size:]
        modes.redo()
    modes.feed(rest)
    assert modes.undo() == undo(output)


@given(OUTPUT)
def test_what_was_taken_back_is_gone_and_what_is_set_again_is_the_same(output: bytes) -> None:
    modes = Modes()
    modes.resize(24)
    modes.feed(output)
    assert undo(output + modes.undo()) == b""
    assert undo(output + modes.undo() + modes.redo()) == modes.undo()


# A real terminal

FLAGS = (
    "alternate_on cursor_flag insert_flag keypad_cursor_flag keypad_flag mouse_all_flag mouse_any_flag mouse_button_flag "
    "mouse_sgr_flag mouse_standard_flag mouse_utf8_flag origin_flag scroll_region_lower scroll_region_upper wrap_flag"
).split()


class Tmux:
    def __init__(self, socket: Path) -> None:
        self._words = ["tmux", "-S", str(socket), "-f", "/dev/null"]
        self.run("new-session", "-d", "-x", "80", "-y", "24", "stty raw -echo; cat")

    def run(self, *words: str) -> str:
        return subprocess.run([*self._words, *words], check=True, capture_output=True, text=True, timeout=20).stdout

    def flags(self, pane: str) -> dict[str, str]:
        values = self.run("display-message", "-p", "-t", pane, " ".join(f"#{{{flag}}}" for flag in FLAGS)).split(" ")
        return dict(zip(FLAGS, map(str.strip, values), strict=True))

    def show(self, tmp_path: Path, output: bytes) -> tuple[dict[str, str], str]:
        """How a new terminal is set after this output, and what its screen shows, with its colours."""
        file = tmp_path / "output"
        file.write_bytes(output + b"now sane")
        command = f"stty raw -echo; cat '{file}'; exec sleep 60"
        pane = self.run("new-window", "-d", "-P", "-F", "#{pane_id}", command).strip()
        deadline = time.monotonic() + 10
        while "now sane" not in (screen := self.run("capture-pane", "-e", "-p", "-t", pane)):
            assert time.monotonic() < deadline, screen
            time.sleep(0.02)
        return self.flags(pane), screen


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    terminal = Tmux(tmp_path / "socket")
    yield terminal
    terminal.run("kill-server")


@pytest.mark.parametrize("name", [name for name in ("tmux",) if shutil.which(name)])
def test_a_real_terminal_is_as_before(tmux: Tmux, tmp_path: Path, name: str) -> None:
    fresh = tmux.show(tmp_path, b"first\r\n")
    left = (
        b"first\r\n\033[?1049h\033[?25l\033[?1000h\033[?1002h\033[?1003h\033[?1006h\033[?1005h\033[?1h\033=\033[4h\033[?7l"
        b"\033[3;20r\033[1;31;44m\033(0qqq\033]0;half a title"
    )
    flags, _ = tmux.show(tmp_path, left.replace(b"\033(0", b"").replace(b"\033]0;half a title", b""))
    assert {flag for flag in FLAGS if flags[flag] != fresh[0][flag]} >= set(FLAGS) - {
        *("mouse_button_flag", "mouse_standard_flag", "origin_flag")
    }
    assert tmux.show(tmp_path, left + undo(left)) == fresh
    on_main = left.replace(b"\033[?1049h", b"")
    assert tmux.show(tmp_path, on_main + undo(on_main))[0] == fresh[0]
