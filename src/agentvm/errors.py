"""What agentvm says when it can't do what was asked: a sentence, and what to do next."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class Error(Exception):
    """An expected failure. `message` says what happened, `hint` what to do next; `status` is agentvm's exit status."""

    status = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(Error):
    """The command line or a setting is wrong; nothing was changed."""

    status = 2


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """ " Did you mean X?", or nothing when none is alike to this degree (of difflib's, up to 1)."""
    from difflib import get_close_matches

    found = get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return f" Did you mean {found[0]!r}?" if found else ""
