"""A tar stream that somebody else wrote, read member by member as it comes, and never believed.

Python's own `tarfile` reads a header's extensions in any size that the header claims, and older ones loop on a negative
one. Only what is needed to copy files is understood here: ustar, and the long names of GNU and of POSIX 2001 (pax).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from agentvm.errors import Error
from agentvm.values import NamedTuple

_BLOCK = 512
_CHUNK = 256 * 1024
_LONGEST = 64 * 1024
"""Bytes of an extension, which is a name."""
_LARGEST = 2**53
"""Bytes of a file."""
FILE, DIRECTORY, OTHER = "file", "directory", "other"
_KINDS = {b"0": FILE, b"\0": FILE, b"7": FILE, b"5": DIRECTORY}


class Member(NamedTuple):
    """`path` are its names from the outside to the inside, each of them one that a file can have."""

    kind: str
    path: tuple[str, ...]
    mode: int
    size: int


Content = Iterator[bytes]


def read_members(read: Callable[[int], bytes]) -> Iterator[tuple[Member, Content]]:
    """The members with what is in them, which may be left unread. `read` returns at most so many bytes, none at the end.

    Raises Error for what is no tar, for one that ends early, and for a name that leads out of where it is put.
    """
    source = _Source(read)
    name, size = b"", -1
    while any(block := source.exactly(_BLOCK)):
        _check(block)
        kind, length = block[156:157], _number(block[124:136])
        if kind in (b"L", b"K", b"x", b"g"):
            extension = source.extension(length)
            if kind == b"L":
                name = extension.rstrip(b"\0")
            elif kind == b"x":
                fields = _records(extension)
                name = fields.get(b"path", name)
                size = _decimal(fields[b"size"]) if b"size" in fields else size
            continue
        if kind == b"S":
            raise _nonsense("a file with holes")
        length = length if size < 0 else size
        member = Member(
            _KINDS.get(kind, OTHER), _path(name or _name(block)), _number(block[100:108]) & 0o777, _bounded(length)
        )
        content = source.content(length)
        yield member, content
        for _ in content:
            """What nobody wanted."""
        source.exactly(-length % _BLOCK)
        name, size = b"", -1


class _Source:
    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read

    def exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            data += self._some(size - len(data))
        return bytes(data)

    def content(self, size: int) -> Content:
        while size:
            data = self._some(min(size, _CHUNK))
            size -= len(data)
            yield data

    def extension(self, size: int) -> bytes:
        if size > _LONGEST:
            raise _nonsense(f"a name of {size} bytes")
        data = self.exactly(size)
        self.exactly(-size % _BLOCK)
        return data

    def _some(self, size: int) -> bytes:
        if not (data := self._read(size)):
            raise Error("The files ended in the middle.", "What arrived is whole but for the last one. Try again.")
        return data


def _nonsense(what: str) -> Error:
    return Error(
        f"What came is not a list of files as tar makes it: {what}.", "Is the VM's `tar` the one of its system?"
    )


def _check(block: bytes) -> None:
    """The sum of all bytes, those of the sum itself as spaces."""
    if _number(block[148:156]) != sum(block[:148]) + 8 * 32 + sum(block[156:]):
        raise _nonsense("a header with a wrong sum")


def _number(field: bytes) -> int:
    """Octal digits, or, for what is larger, GNU's binary number."""
    if field[0] == 0x80:
        return _bounded(int.from_bytes(field[1:], "big"))
    digits = field.strip(b" \0")
    if any(digit not in b"01234567" for digit in digits):
        raise _nonsense("a number that is none")
    return int(digits or b"0", 8)


def _decimal(text: bytes) -> int:
    if not 0 < len(text) < 20 or not text.isdigit():
        raise _nonsense("a size that is none")
    return int(text)


def _bounded(size: int) -> int:
    if size > _LARGEST:
        raise _nonsense(f"a file of {size} bytes")
    return size


def _records(data: bytes) -> dict[bytes, bytes]:
    """pax: lines of "LENGTH KEY=VALUE", where the length counts the whole line."""
    fields = {}
    while data.strip(b"\0"):
        digits, _, _ = data.partition(b" ")
        length = _decimal(digits)
        record = data[len(digits) + 1 : length]
        key, equals, value = record.partition(b"=")
        if not equals or not value.endswith(b"\n") or length > len(data) or key.startswith(b"GNU.sparse."):
            raise _nonsense("an extension that is not understood")
        fields[key] = value[:-1]
        data = data[length:]
    return fields


def _name(block: bytes) -> bytes:
    name = block[:100].partition(b"\0")[0]
    prefix = block[345:500].partition(b"\0")[0] if block[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _path(name: bytes) -> tuple[str, ...]:
    parts = tuple(part for part in name.split(b"/") if part not in (b"", b"."))
    if name.startswith(b"/") or b".." in parts or b"\0" in name:
        raise Error(
            f"The VM sent a file by the name {os.fsdecode(name)!r}, which leads elsewhere, so copying was stopped.",
            "No honest `tar` does that: see what runs in the VM.",
        )
    return tuple(map(os.fsdecode, parts))
