"""The names of instances, from directories alone: for completions, which nobody waits for."""

from __future__ import annotations

import os

from agentvm.label import LARGEST, load_label

_LABEL = "agentvm.json"


def instance_names(directory: str, prefix: str) -> tuple[str, ...]:
    """Those in `directory` whose label says that they are of this prefix. Raises OSError when it can't be read."""
    begin = f"{prefix}-"
    return tuple(
        name for name in sorted(os.listdir(directory)) if name.startswith(begin) and _is_ours(directory, name, prefix)
    )


def _is_ours(directory: str, name: str, prefix: str) -> bool:
    try:
        with open(os.path.join(directory, name, _LABEL), "rb") as file:
            label = load_label(file.read(LARGEST), name)
    except OSError:
        return False
    return label is not None and label.spec.prefix == prefix
