"""What Lima is told of an instance, and what it makes of that: it merges `_config/default.yaml` and `override.yaml` at
every load.
"""

from __future__ import annotations

import os
from typing import Any

from agentvm.errors import Error, UsageError
from agentvm.lima.template import base_document, check_mount, edit_expression, effective_mounts, wanted_mounts
from agentvm.lima.virtiofs import mount_type
from agentvm.model import Host, InstanceSpec, Resources
from agentvm.paths import is_below

_LONGEST_PATH = {"darwin": 76, "linux": 80}
"""LIMA_HOME and the name together, in bytes: a socket's path has to fit (pkg/limatype/filenames)."""
_LONGEST_NAME = 59
"""The guest's host name is "lima-" and the name, and Linux takes 64."""


class Configuration:
    """Of instances in the LIMA_HOME `home`."""

    def __init__(self, host: Host, home: str) -> None:
        self._host = host
        self._home = home

    def validate(self, spec: InstanceSpec) -> None:
        """Raise UsageError for what Lima can't make: a name that is too long, mounts that it can't carry or must not show."""
        limit = min(_LONGEST_NAME, _LONGEST_PATH.get(self._host.platform, 76) - len(os.fsencode(self._home)))
        if len(spec.name) > limit:
            raise UsageError(
                f"The name {spec.name} is too long for Lima in {self._home}: {len(spec.name)} of {limit} characters.",
                "Shorten AGENTVM_INSTANCE_PREFIX, or the path in LIMA_HOME.",
            )
        self._check_mounts(spec)
        for mount in spec.mounts:
            if is_below(self._home, mount.location):
                raise UsageError(
                    f"{mount.location} holds Lima's own directory {self._home}.", "Work in another directory."
                )

    def base(self, template: str) -> bytes:
        """The base's whole document."""
        return base_document(template, mount_type(self._host))

    def edit(self, spec: InstanceSpec, resources: Resources) -> str:
        """The yq expression that brings an instance to this. Raises UsageError for a mount that can't be carried by now."""
        # Again, since virtiofsd may be gone since the instance was made.
        self._check_mounts(spec)
        return edit_expression(spec.mounts, resources, mount_type(self._host))

    def is_current(self, spec: InstanceSpec, effective: dict[str, Any]) -> bool:
        """Whether it has what was asked for; a killed change may have left something else, virtiofsd may be gone."""
        moved = bool(spec.mounts) and effective.get("mountType") != mount_type(self._host)
        return not moved and effective_mounts(effective) == wanted_mounts(spec.mounts)

    def check(self, spec: InstanceSpec, effective: dict[str, Any]) -> None:
        """Raise Error when an effective configuration shows the guest what was not asked for."""
        have, want = effective_mounts(effective), wanted_mounts(spec.mounts)
        if have != want:
            extra = ", ".join(mount[0] for mount in have if mount not in want) or "fewer directories"
            raise Error(f"Lima would not show {spec.name} what was asked for: {extra}.", self.hint("mounts"))
        if effective.get("mounts") and effective.get("mountType") == "reverse-sshfs":
            raise Error(
                "Lima would mount by reverse-sshfs, which lets a guest read all your files.",
                "Install the Rust virtiofsd, or use a base template whose guest has 9p.",
            )
        if (effective.get("ssh") or {}).get("forwardAgent"):
            raise Error(
                f"Lima would forward your ssh agent to {spec.name} for as long as it runs.",
                f"{self.hint('forwardAgent')} AGENTVM_SSH_AGENT=1 forwards it to a session alone.",
            )

    def hint(self, what: str) -> str:
        return f"Look for {what} in {self._home}/_config/default.yaml and override.yaml."

    def _check_mounts(self, spec: InstanceSpec) -> None:
        kind = mount_type(self._host) if spec.mounts else ""
        for mount in spec.mounts:
            check_mount(mount, kind, self._host.platform)
