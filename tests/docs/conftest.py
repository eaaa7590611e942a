"""The computer of the command line's tests, for examples to run on."""

from __future__ import annotations

from tests.cli.conftest import cache, world

__all__ = ("cache", "world")
