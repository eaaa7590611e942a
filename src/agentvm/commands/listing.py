"""`agentvm list`: all instances of agentvm with this prefix."""

from __future__ import annotations

import json
import os
from typing import Any

from agentvm.commands.arguments import parse
from agentvm.commands.words import table
from agentvm.context import Context
from agentvm.model import Instance, Role


def list_instances(context: Context, arguments: tuple[str, ...]) -> int:
    options = parse("list", arguments)
    instances = our_instances(context, context.backend.list())
    newest = max((_generation(instance) for instance in instances if _role(instance) is Role.GOLDEN), default=0)
    entries = [_entry(context, instance, newest) for instance in instances]
    if options.json:
        context.console.product(json.dumps({"schema": 1, "instances": entries}, indent=2))
    elif entries:
        rows = [(e["name"], e["status"], e["role"] or "?", _base(e), _place(e)) for e in entries]
        context.console.product(table([("NAME", "STATUS", "ROLE", "BASE", "PROJECT"), *rows]))
    else:
        context.console.say("there are no VMs yet; `agentvm codex` in a project makes one")
    return 0


def our_instances(context: Context, instances: tuple[Instance, ...]) -> tuple[Instance, ...]:
    """Those with our label and prefix, and the unfinished ones whose name has it."""
    return tuple(instance for instance in instances if _is_ours(instance, context.prefix))


def _is_ours(instance: Instance, prefix: str) -> bool:
    if instance.label is None:
        return instance.status.value == "incomplete" and instance.name.startswith(f"{prefix}-")
    return instance.label.spec.prefix == prefix


def _entry(context: Context, instance: Instance, newest: int) -> dict[str, Any]:
    spec = instance.label.spec if instance.label else None
    project = spec.project if spec else ""
    return {
        "name": instance.name,
        "status": instance.status.value,
        "role": spec.role.value if spec else None,
        "project": project or None,
        "project_exists": os.path.isdir(project) if project else None,
        "generation": spec.generation if spec else None,
        "older_than_base": bool(spec and spec.role is Role.PROJECT and spec.generation < newest),
        "created": instance.label.created if instance.label else None,
        "sessions": len(context.state.sessions(instance.name)),
    }


def _base(entry: dict[str, Any]) -> str:
    return f"g{entry['generation']}{' (older)' if entry['older_than_base'] else ''}" if entry["generation"] else "-"


def _place(entry: dict[str, Any]) -> str:
    return (entry["project"] or "-") + (" (gone)" if entry["project_exists"] is False else "")


def _role(instance: Instance) -> Role | None:
    return instance.label.spec.role if instance.label else None


def _generation(instance: Instance) -> int:
    return instance.label.spec.generation if instance.label else 0
