"""The label's form on disk: JSON that a later version, or a damaged file, is told apart from.

An older schema is brought up to date while it is read; it is written in the newest whenever it is written. So a VM lives
through an update of agentvm, and an older agentvm leaves one alone that a newer has changed, and says so.
"""

from __future__ import annotations

from agentvm import __version__
from agentvm.jsontext import load_json
from agentvm.model import InstanceSpec, Label, Mount, Resources, Role

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SCHEMA = 2
LARGEST = 262_144
"""Bytes. A label is a kilobyte; what is larger is none."""


def _name_no_version(fields: dict[str, Any]) -> dict[str, Any]:
    """Schema 2 says which agentvm wrote it."""
    return {**fields, "version": ""}


_UPGRADES = {1: _name_no_version}
"""From each older schema to the next one."""


def dump_label(label: Label) -> bytes:
    spec = label.spec
    import json

    content = {
        "tool": "agentvm",
        "schema": SCHEMA,
        "version": __version__,
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
        fields = _upgraded(load_json(content))
        if fields["tool"] != "agentvm" or fields["name"] != name:
            return None
        return Label(_spec(fields), int(fields["created"]), _resources(fields["native"]))
    except (ValueError, OverflowError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def newer_version(content: bytes) -> str:
    """The agentvm that wrote a label of a later schema than this one knows; empty for any other label, or none."""
    try:
        fields = load_json(content)
        is_newer = fields["tool"] == "agentvm" and type(fields["schema"]) is int and fields["schema"] > SCHEMA
        return str(fields.get("version") or "of a later version")[:40] if is_newer else ""
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""


def _upgraded(fields: dict[str, Any]) -> dict[str, Any]:
    """Raises KeyError for a schema that there never was, or that is not known yet."""
    schema = fields["schema"]
    if type(schema) is not int:
        raise KeyError(schema)
    while schema != SCHEMA:
        fields = _UPGRADES[schema](fields)
        schema += 1
    return fields


def carried_prefix(content: bytes) -> str:
    """The prefix in a label that may speak of another instance: the one that this was cloned from; else empty."""
    try:
        name = load_json(content)["name"]
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
