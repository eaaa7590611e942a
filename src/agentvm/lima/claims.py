"""Which instances are being made or deleted: claimed by a file of ours, so that what a killed run left of one is told from
somebody else's instance, which also has no label.
"""

from __future__ import annotations

import os

from agentvm.files import make_private_directory, remove_file, write_atomically


class Claims:
    def __init__(self, state_directory: str) -> None:
        self._place = os.path.join(state_directory, "making")

    def __contains__(self, name: str) -> bool:
        return os.path.exists(self._path(name))

    def add(self, name: str) -> None:
        make_private_directory(self._place)
        write_atomically(self._path(name), f"{os.getpid()}\n".encode())

    def remove(self, name: str) -> None:
        remove_file(self._path(name))

    def _path(self, name: str) -> str:
        return os.path.join(self._place, name)
