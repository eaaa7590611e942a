"""JSON as a warm run reads it: by the interpreter's own scanner, which is what json uses.

The package around that compiles patterns when it is imported, which takes several times as long as all that is then read.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_SPACE = " \t\n\r"


class _Rules:
    """What the scanner asks of a decoder: json's own defaults."""

    strict = True
    object_hook = object_pairs_hook = array_hook = None
    parse_float = parse_constant = float
    parse_int = int


def load_json(content: bytes | str) -> Any:
    """What json.loads returns. Raises ValueError for what isn't JSON, and RecursionError like it."""
    text = content if isinstance(content, str) else content.decode()
    try:
        value, end = _SCAN(text, len(text) - len(text.lstrip(_SPACE)))
    except StopIteration:
        raise ValueError("it is not JSON") from None
    if text[end:].strip(_SPACE):
        raise ValueError("it goes on after its end")
    return value


def _scanner() -> Callable[[str, int], tuple[Any, int]]:
    """json's own serves where the interpreter has none, or one that asks for more."""
    try:
        from _json import make_scanner

        make: Any = make_scanner
        found: Callable[[str, int], tuple[Any, int]] = make(_Rules)
        return found
    except (ImportError, AttributeError, TypeError):
        import json

        return json.JSONDecoder().raw_decode


_SCAN = _scanner()
