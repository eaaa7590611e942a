"""What agentvm says when it can't do what was asked: a sentence, and what to do next."""

from __future__ import annotations


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
