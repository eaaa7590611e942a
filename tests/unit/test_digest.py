from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from agentvm.digest import sha256


@given(st.binary())
def test_it_is_what_hashlib_says(data: bytes) -> None:
    """Names of instances come of it: another value would be another VM."""
    assert sha256(data) == hashlib.sha256(data).hexdigest()
