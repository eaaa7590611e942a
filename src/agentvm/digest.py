"""SHA-256 without OpenSSL, which `hashlib` loads: that costs a warm run a third of Python's own start."""

from __future__ import annotations


def sha256(data: bytes) -> str:
    """The hex digest. The interpreter's own module was renamed in 3.12; where neither is built in, hashlib serves."""
    for module in ("_sha2", "_sha256"):
        try:
            return str(__import__(module).sha256(data).hexdigest())
        except ImportError:
            continue
    import hashlib

    return hashlib.sha256(data).hexdigest()
