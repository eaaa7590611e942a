"""`agentvm list`: all instances of agentvm with this prefix, or with any."""

from __future__ import annotations

import json
import os
from typing import Any

from agentvm.commands.arguments import parse
from agentvm.commands.columns import Column, fit, screen_width
from agentvm.commands.quantities import show_age, show_size
from agentvm.commands.schemas import SCHEMA
from agentvm.context import Context
from agentvm.model import Instance, Role, Status
from agentvm.state import SessionRecord, State

_COLUMNS = (
    Column("NAME", least=37, floor=20),
    Column("STATUS"),
    Column("ROLE", drop=5),
    Column("BASE", drop=3),
    Column("AGE", drop=4),
    Column("DISK", drop=2),
    Column("SESSIONS", drop=1, least=12),
    Column("PROJECT", least=11, floor=9, keep_end=True),
)


def list_instances(context: Context, arguments: tuple[str, ...]) -> int:
    options = parse("list", arguments)
    everything = context.backend.list()
    instances = _of_any_prefix(context, everything) if options.all_prefixes else our_instances(context, everything)
    entries = [_entry(context, instance, _newest(instances, prefix_of(context, instance))) for instance in instances]
    if options.json:
        context.console.product(json.dumps({"schema": SCHEMA, "instances": entries}, indent=2))
    elif entries:
        width = screen_width(context)
        home = context.host.home if width else ""
        context.console.product(fit(_COLUMNS, [_row(entry, home) for entry in entries], width))
    else:
        context.console.say("there are no VMs yet; `agentvm codex` in a project makes one")
    return 0


def our_instances(context: Context, instances: tuple[Instance, ...]) -> tuple[Instance, ...]:
    """Those with our label and prefix, and the unfinished ones whose name has it."""
    return tuple(instance for instance in instances if _is_ours(instance, context.prefix))


def prefix_of(context: Context, instance: Instance) -> str:
    return instance.label.spec.prefix if instance.label else context.prefix


def sessions_words(records: list[dict[str, Any]]) -> str:
    """The agents, each with since when and its process."""
    return ", ".join(f"{record['what']} {show_age(record['since'])} (pid {record['pid']})" for record in records)


def lasting_facts(context: Context, instance: Instance) -> dict[str, Any]:
    """What status and list tell alike of one instance."""
    state = _state_of(context, instance)
    usage = context.backend.measure(instance.name)
    runs = instance.status in (Status.RUNNING, Status.STARTING)
    return {
        "created": instance.label.created if instance.label else None,
        "disk": usage.disk,
        "running_since": usage.since if runs and usage.since else None,
        "last_use": state.last_use(instance.name) or None,
    }


def _of_any_prefix(context: Context, instances: tuple[Instance, ...]) -> tuple[Instance, ...]:
    return tuple(instance for instance in instances if instance.label or _is_ours(instance, context.prefix))


def _is_ours(instance: Instance, prefix: str) -> bool:
    if instance.label is None:
        return instance.status.value == "incomplete" and instance.name.startswith(f"{prefix}-")
    return instance.label.spec.prefix == prefix


def _state_of(context: Context, instance: Instance) -> State:
    prefix = prefix_of(context, instance)
    return context.state if prefix == context.prefix else context.state.beside(os.path.basename(prefix))


def _newest(instances: tuple[Instance, ...], prefix: str) -> int:
    labels = (instance.label for instance in instances)
    specs = (label.spec for label in labels if label)
    return max((spec.generation for spec in specs if spec.role is Role.GOLDEN and spec.prefix == prefix), default=0)


def _entry(context: Context, instance: Instance, newest: int) -> dict[str, Any]:
    spec = instance.label.spec if instance.label else None
    project = spec.project if spec else ""
    records: tuple[SessionRecord, ...] = _state_of(context, instance).sessions(instance.name)
    return {
        "name": instance.name,
        "prefix": prefix_of(context, instance),
        "status": instance.status.value,
        "role": spec.role.value if spec else None,
        "project": project or None,
        "project_exists": os.path.isdir(project) if project else None,
        "generation": spec.generation if spec else None,
        "older_than_base": bool(spec and spec.role is Role.PROJECT and spec.generation < newest),
        **lasting_facts(context, instance),
        "sessions": [record._asdict() for record in records],
    }


def _row(entry: dict[str, Any], home: str) -> tuple[str, ...]:
    return (
        entry["name"],
        entry["status"],
        entry["role"] or "?",
        _base(entry),
        show_age(entry["created"] or 0),
        show_size(entry["disk"]),
        sessions_words(entry["sessions"]) or "-",
        _place(entry, home),
    )


def _base(entry: dict[str, Any]) -> str:
    return f"g{entry['generation']}{' (older)' if entry['older_than_base'] else ''}" if entry["generation"] else "-"


def _place(entry: dict[str, Any], home: str) -> str:
    """The project's path. On a screen `home` is ~, which leaves more room for what tells one from another."""
    path = entry["project"] or "-"
    if home and path.startswith(f"{home}/"):
        path = f"~{path[len(home) :]}"
    return path + (" (gone)" if entry["project_exists"] is False else "")
