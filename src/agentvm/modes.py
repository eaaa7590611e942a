"""What a program's output has left set in the terminal, and the bytes that take it back.

A terminal remembers what it was told: the alternate screen, a hidden cursor, mouse reports, a colour. A program that
ends well undoes its own; one that was killed, or whose connection was lost, can't. The meanings are those of xterm's
control sequences, and kitty's for the keyboard. Claude Code 2.1, Codex 0.169 and opencode 1.18 were watched: modes
that one of them leaves set when it ends well (2027), or that terminals start with in different states (12, 1007), are
left alone. Nothing here reads or writes; what passes is never changed.
"""

from __future__ import annotations

_ESCAPE, _OUT, _IN, _END = b"\033", b"\016", b"\017", b"\033\\"
_BATCH = 65536
"""Bytes that are looked at together: a program's chunks are small, and each look has its price."""
_LONGEST = 256
"""Bytes that are kept of a sequence that hasn't ended: enough for all that matter. An image is longer, and nothing."""
_USUALLY_OFF = frozenset(b"1 5 9 66 1000 1001 1002 1003 1004 1005 1006 1015 1016 2004 2026 2031 2048".split())
_USUALLY_ON = frozenset((b"7", b"25"))
_ALTERNATES = frozenset((b"47", b"1047", b"1049"))
_STACK = 32
"""Entries of the keyboard's stack; terminals have a limit too, and drop the oldest."""

# An escape ends whatever came before it, so no sequence is ever inside of another, and only the last can lack its end.
_CHANGE = (
    rb"\x1b(?:"
    rb"\[(?:[?<=>!][0-9;:]*+[hlumnp]|[0-9;:]*+(?:[hlr]| q))"
    rb"|\](?:8|1?1[0-2])(?:;[^\x07\x18\x1a\x1b]*)?(?=[\x07\x1b])"
    rb"|\([ -~]|[=>c])"
)
_PEN = rb"\x1b\[([0-9;:]*+)m"
_UNENDED = rb"\x1b(?:[ -/]*|\[[0-?]*[ -/]*|\][^\x07\x18\x1a]*|[P^_X][^\x18\x1a]*)"

_COLOURS = {
    **dict.fromkeys((*range(30, 39), *range(90, 98)), 39),
    **dict.fromkeys((*range(40, 49), *range(100, 108)), 49),
    58: 59,
}
"""What sets a colour, and what takes it back: of the text, of its background, of the line under it."""
_ENDINGS = {
    22: (1, 2),
    23: (3, 20),
    24: (4, 21),
    25: (5, 6),
    27: (7,),
    28: (8,),
    29: (9,),
    10: tuple(range(11, 20)),
    50: (26,),
    54: (51, 52),
    55: (53,),
    65: tuple(range(60, 65)),
    75: (73, 74),
    **{ending: (ending,) for ending in (39, 49, 59)},
}
"""What ends which attributes. A colour is kept under what takes it back, since any other colour replaces it."""
_ATTRIBUTES = {code for codes in _ENDINGS.values() for code in codes if code not in (39, 49, 59)}


class Modes:
    """Fed with all that a program prints, it knows what `undo` has to say. Its memory does not grow with the output."""

    def __init__(self) -> None:
        self._rows = 0
        self._unread = bytearray()
        self._reset()

    def resize(self, rows: int) -> None:
        """The terminal has so many rows now; with a new size, terminals give up the scroll region."""
        if rows != self._rows:
            self._digest()
            self._rows, self._region = rows, b""

    def feed(self, data: bytes) -> None:
        """Take note of what was printed."""
        if self._unread or _ESCAPE in data or _OUT in data or _IN in data:
            self._unread += data
            if len(self._unread) >= _BATCH:
                self._digest()

    def undo(self) -> bytes:
        """What brings the terminal back; empty if nothing was left set. It does not forget: see `redo`."""
        self._digest()
        return b"".join(
            (
                # Cut off, whatever it was: a cancel for terminals that know it, an end for the others.
                b"\030" + _END if self._unread else b"",
                b"\033]8;;" + _END if self._link else b"",
                _undo_keys(self._keys[1]) if self._alternate else b"",
                # Before the colours: leaving brings back those of the time when it was entered.
                b"\033[?" + self._alternate + b"l" if self._alternate else b"",
                _undo_keys(self._keys[0]),
                # Without the rest, the cursor would go to the corner.
                b"\0337\033[r\0338" if self._region else b"",
                b"\033[m" if self._pen else b"",
                b"\033(B" if self._drawing else b"",
                _IN if self._shifted else b"",
                *(_switch(mode, mode in _USUALLY_ON) for mode in reversed(self._modes)),
                b"\033[4l" if self._insert else b"",
                b"\033>" if self._keypad else b"",
                b"\033[>4m" if self._modified else b"",
                b"\033[0 q" if self._cursor else b"",
                *(b"\033]1" + number + _END for number in self._colours),
            )
        )

    def redo(self) -> bytes:
        """What sets again all that `undo` took back, for a program that was stopped and doesn't know that it was."""
        self._digest()
        return b"".join(
            (
                _redo_keys(self._keys[0]),
                b"\033[?" + self._alternate + b"h" if self._alternate else b"",
                _redo_keys(self._keys[1]) if self._alternate else b"",
                b"\0337\033[" + self._region + b"r\0338" if self._region else b"",
                b"\033[" + b";".join(self._pen.values()) + b"m" if self._pen else b"",
                b"\033(0" if self._drawing else b"",
                _OUT if self._shifted else b"",
                *(_switch(mode, mode not in _USUALLY_ON) for mode in self._modes),
                b"\033[4h" if self._insert else b"",
                b"\033=" if self._keypad else b"",
                b"\033[>4;" + self._modified + b"m" if self._modified else b"",
                b"\033[" + self._cursor + b" q" if self._cursor else b"",
                *(b"\033]" + number + b";" + value + _END for number, value in self._colours.items()),
                b"\033]8;" + self._link + _END if self._link else b"",
                bytes(self._unread) if len(self._unread) < _LONGEST else b"",
            )
        )

    def _reset(self) -> None:
        self._modes: dict[bytes, None] = {}
        """Private modes that are not as terminals usually have them, in the order of their setting."""
        self._alternate = b""
        self._keys = ([0], [0])
        """The stacks of keyboard flags: each screen has its own."""
        self._colours: dict[bytes, bytes] = {}
        self._modified = b""
        self._link = b""
        self._soft_reset()

    def _soft_reset(self) -> None:
        self._pen: dict[int, bytes] = {}
        self._region = self._cursor = b""
        self._drawing = self._shifted = self._insert = self._keypad = False
        for mode in (b"1", b"25", b"66"):
            self._modes.pop(mode, None)

    def _digest(self) -> None:
        """Read what was fed, and keep a last sequence that hasn't ended."""
        if not self._unread:
            return
        import re

        data = bytes(self._unread)
        self._unread.clear()
        last = data.rfind(_ESCAPE)
        if last >= 0 and re.compile(_UNENDED, re.DOTALL).fullmatch(data, last):
            self._unread += data[last : last + _LONGEST]
        start = 0
        for match in re.finditer(_CHANGE, data):
            if self._change(match[0]):
                start = match.end()
        self._draw(re.compile(_PEN).findall(data, max(start, data.rfind(b"\033[m"), data.rfind(b"\033[0m"))))
        out, back = data.rfind(_OUT, start), data.rfind(_IN, start)
        if out != back:
            self._shifted = out > back

    def _change(self, sequence: bytes) -> bool:
        """Take note of one sequence; whether it was a reset, which also concerns what is read later."""
        kind = sequence[1:2]
        if kind == b"[":
            return self._control(sequence)
        if kind == b"]":
            self._command(sequence[2:])
        elif kind == b"(":
            self._drawing = sequence[2:] == b"0"
        elif kind == b"c":
            self._reset()
        else:
            self._keypad = kind == b"="
        return kind == b"c"

    def _control(self, sequence: bytes) -> bool:
        name, arguments = sequence[2:].translate(None, b"0123456789;:"), sequence[2:-1].strip(b"?<=>! ")
        if name in (b"?h", b"?l"):
            for mode in arguments.split(b";"):
                self._set(mode.lstrip(b"0"), name == b"?h")
        elif name in (b">u", b"<u", b"=u"):
            self._set_keys(name, arguments)
        elif name in (b"h", b"l"):
            if b"4" in arguments.split(b";"):
                self._insert = name == b"h"
        elif name == b"r":
            self._set_region(arguments)
        elif name == b" q":
            self._cursor = arguments.lstrip(b"0")[:3]
        elif name in (b">m", b">n"):
            self._set_modified(name, arguments)
        elif name == b"!p":
            self._soft_reset()
        return name == b"!p"

    def _set(self, mode: bytes, on: bool) -> None:
        if mode in _ALTERNATES:
            self._alternate = mode if on else b""
        elif mode in (_USUALLY_OFF if on else _USUALLY_ON):
            self._modes[mode] = None
        else:
            self._modes.pop(mode, None)

    def _set_keys(self, name: bytes, arguments: bytes) -> None:
        stack = self._keys[bool(self._alternate)]
        first, _, second = arguments.partition(b";")
        if name == b">u":
            stack.append(_number(first))
            del stack[:-_STACK]
        elif name == b"=u":
            flags, how = _number(first), _number(second)
            stack[-1] = stack[-1] | flags if how == 2 else stack[-1] & ~flags if how == 3 else flags
        elif (left := len(stack) - (_number(first) or 1)) > 0:
            del stack[left:]
        else:
            stack[:] = [0]

    def _set_region(self, arguments: bytes) -> None:
        top, _, bottom = arguments.partition(b";")
        whole = _number(top) <= 1 and (not _number(bottom) or 0 < self._rows <= _number(bottom))
        self._region = b"" if whole else arguments[:20]

    def _set_modified(self, name: bytes, arguments: bytes) -> None:
        """xterm's modifyOtherKeys; without a value it is the one that the user chose."""
        resource, _, value = arguments.partition(b";")
        if not resource or _number(resource) == 4:
            self._modified = b"" if name == b">n" else value.lstrip(b"0")[:3]

    def _command(self, text: bytes) -> None:
        number, _, value = text.partition(b";")
        if number == b"8":
            self._link = value[:_LONGEST] if value.partition(b";")[2] else b""
        elif len(number) == 3:
            self._colours.pop(number[1:], None)
        elif value != b"?":
            self._colours[number] = value[:_LONGEST]

    def _draw(self, changes: list[bytes]) -> None:
        """Attributes and colours. Of changes with the same effect only the last counts, and programs repeat a few."""
        last: dict[bytes, bytes] = {}
        for change in dict.fromkeys(reversed(changes)):
            true_colour = change[:5] in (b"38;2;", b"48;2;") and change.count(b";") == 4
            last.setdefault(change[:5] if true_colour else change, change)
        for change in reversed(last.values()):
            codes = change.split(b";")
            while codes:
                self._draw_one(codes)

    def _draw_one(self, codes: list[bytes]) -> None:
        """Take the first attribute with what belongs to it: 38;5;N and 38;2;R;G;B are one, unless colons join them."""
        first = codes.pop(0)
        code = _number(first.partition(b":")[0])
        if code in (38, 48, 58) and b":" not in first:
            count = {b"5": 2, b"2": 4}.get(codes[0] if codes else b"", 0)
            first = b";".join((first, *codes[:count]))
            del codes[:count]
        if code == 0:
            self._pen.clear()
        elif first == b"4:0" or code in _ENDINGS:
            for attribute in _ENDINGS.get(code, (4, 21)):
                self._pen.pop(attribute, None)
        elif code in _COLOURS or code in _ATTRIBUTES:
            self._pen[_COLOURS.get(code, code)] = first[:_LONGEST]


def _number(text: bytes) -> int:
    """A guest may send as many digits as it likes."""
    return int(text[:6]) if text[:6].isdigit() else 0


def _switch(mode: bytes, on: bool) -> bytes:
    return b"\033[?" + mode + (b"h" if on else b"l")


def _undo_keys(stack: list[int]) -> bytes:
    pops = b"\033[<%du" % (len(stack) - 1) if len(stack) > 1 else b""
    return pops + (b"\033[=0u" if stack[0] else b"")


def _redo_keys(stack: list[int]) -> bytes:
    first = b"\033[=%du" % stack[0] if stack[0] else b""
    return first + b"".join(b"\033[>%du" % flags for flags in stack[1:])
