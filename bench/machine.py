"""A computer of its own for a bench on real Lima, as the smoke suite has one: nothing of it is left at the end.

With AGENTVM_SMOKE_PREFIX there is a base that is used and kept; else one is made, which takes minutes.
"""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from tests.smoke.computer import BUNDLES, RUN, Computer, make_computer, remove_computer


@contextmanager
def computer() -> Iterator[Computer]:
    """With a base."""
    os.environ.setdefault(RUN, f"b{secrets.token_hex(2)}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    made = make_computer()
    # Authorities that only this computer's network has would be brought into each VM, which is no part of a usual first run.
    made.unset(*BUNDLES)
    try:
        made.ok(made.directory, "base", "init")
        yield made
    finally:
        remove_computer(made)
