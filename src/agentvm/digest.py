"""SHA-256 without OpenSSL, which `hashlib` loads: that costs a warm run a third of Python's own start."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def sha256(data: bytes) -> str:
    """The hex digest."""
    return str(_MODULE.sha256(data).hexdigest())


def _module() -> Any:
    """The interpreter's own module was renamed in 3.12; where neither is built in, hashlib serves."""
    for module in ("_sha2", "_sha256"):
        try:
            return __import__(module)
        except ImportError:
            continue
    import hashlib

    return hashlib


# Once: looking for a module that is not there takes longer than most digests.
_MODULE = _module()
