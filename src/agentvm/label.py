"""The label's form on disk: JSON that a later version, or a damaged file, is told apart from."""

from __future__ import annotations

import json
from typing import Any

from agentvm.model import InstanceSpec, Label, Mount, Resources, Role

SCHEMA = 1
LARGEST = 262_144
"""Bytes. A label is a kilobyte; what is larger is none."""


def dump_label(label: Label) -> bytes:
    spec = label.spec
    content = {
        "tool": "agentvm",
        "schema": SCHEMA,
        "name": spec.name,
        "prefix": spec.prefix,
        "role": spec.role.value,
        "project": spec.project,
        "generation": spec.generation,
        "mounts": [mount._asdict() for mount in spec.mounts],
        "resources": spec.resources._asdict(),
        "native": label.native._asdict(),
        "created": label.created,
    }
    return json.dumps(content, indent=1, ensure_ascii=True).encode() + b"\n"


def load_label(content: bytes, name: str) -> Label | None:
    """The label in `content` if it is whole, of a schema we know, and speaks of the instance `name`; else None.

    A clone that was killed carries its source's label, whose name tells.
    """
    try:
        fields = json.loads(content)
        if fields["tool"] != "agentvm" or fields["schema"] != SCHEMA or fields["name"] != name:
            return None
        return Label(_spec(fields), int(fields["created"]), _resources(fields["native"]))
    except (ValueError, OverflowError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def carried_prefix(content: bytes) -> str:
    """The prefix in a label that may speak of another instance: the one that this was cloned from; else empty."""
    try:
        name = json.loads(content)["name"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    label = load_label(content, name)
    return label.spec.prefix if label else ""


def _spec(fields: dict[str, Any]) -> InstanceSpec:
    return InstanceSpec(
        name=str(fields["name"]),
        prefix=str(fields["prefix"]),
        role=Role(fields["role"]),
        project=str(fields["project"]),
        generation=int(fields["generation"]),
        mounts=tuple(
            Mount(str(mount["location"]), str(mount["point"]), mount["writable"] is True) for mount in fields["mounts"]
        ),
        resources=_resources(fields["resources"]),
    )


def _resources(fields: dict[str, Any]) -> Resources:
    return Resources(int(fields["cpus"]), int(fields["memory"]), int(fields["disk"]))
