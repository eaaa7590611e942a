"""`agentvm status`: the project, its VM, and what they share."""

from __future__ import annotations

import json
from typing import Any

from agentvm.agents import AGENTS, NPM_PREFIX
from agentvm.commands.arguments import parse
from agentvm.commands.columns import pairs, screen_width
from agentvm.commands.listing import lasting_facts
from agentvm.commands.quantities import show_age, show_size
from agentvm.commands.schemas import SCHEMA
from agentvm.commands.target import current_project, project_spec
from agentvm.context import Context
from agentvm.instances import ask
from agentvm.model import Command, Instance, InstanceSpec, Status
from agentvm.plan import check_ours, is_whole
from agentvm.quoting import quote
from agentvm.settings import ISOLATED, OVERLAY, SHARED
from agentvm.sharing import SESSIONS_POINT, plan_sharing

_LASTING = ("created", "disk", "running_since", "last_use")
_PATIENCE = 10.0
"""Seconds for the guest to tell what is installed in it."""
CONFIG_WORDS = {
    SHARED: f"{SHARED}: the agents' directories, writable",
    OVERLAY: f"{OVERLAY}: the agents' settings are copies, their sessions are shared",
    ISOLATED: f"{ISOLATED}: the agents have nothing of this computer's",
}
# The version was noted when the agent was proved to run; one that came with the base is asked.
_VERSION = f"""\
PATH=$HOME/{NPM_PREFIX}/bin:$HOME/.local/bin:$PATH
version() {{
    command -v "$1" >/dev/null || return 0
    said=
    [ ! -e "$HOME/.local/state/agentvm/proved/$1" ] || read -r said <"$HOME/.local/state/agentvm/proved/$1"
    [ "$said" ] || said=$("$1" --version 2>/dev/null)
    printf '%s %s\\n' "$1" "$said"
}}"""


def status(context: Context, arguments: tuple[str, ...]) -> int:
    options = parse("status", arguments)
    project = current_project(context)
    wanted = project_spec(context, project, plan_sharing(context.host, context.settings, project))
    actual = context.backend.find(wanted.name)
    if actual and is_whole(actual):
        check_ours(actual, context.prefix)
    facts = _facts(context, wanted, actual)
    context.console.product(json.dumps(facts, indent=2) if options.json else _show(context, facts))
    return 0


def _facts(context: Context, wanted: InstanceSpec, actual: Instance | None) -> dict[str, Any]:
    spec = actual.label.spec if actual and actual.label else None
    newest = context.state.newest_generation()
    # Before the time of the last use, which a dead session that is found here changes.
    sessions = [record._asdict() for record in context.state.sessions(wanted.name)]
    return {
        "schema": SCHEMA,
        "project": wanted.project,
        "instance": wanted.name,
        "status": _status(actual),
        "generation": spec.generation if spec else None,
        "newest_generation": newest or None,
        "older_than_base": bool(spec and spec.generation < newest),
        "pending_change": bool(spec and spec._replace(generation=wanted.generation) != wanted),
        "config": context.settings.config,
        **(lasting_facts(context, actual) if actual else dict.fromkeys(_LASTING)),
        "mounts": [mount._asdict() for mount in (spec or wanted).mounts],
        "agents": _versions(context, actual) if actual and actual.status is Status.RUNNING else None,
        "sessions": sessions,
    }


def _status(actual: Instance | None) -> str:
    if actual is None:
        return "absent"
    return actual.status.value if is_whole(actual) else Status.INCOMPLETE.value


def _versions(context: Context, actual: Instance) -> dict[str, str] | None:
    """What is installed in a running guest, as it says; None when it does not say anything."""
    script = "\n".join((_VERSION, *(f"version {quote(name)}" for name in AGENTS), "echo all"))
    answer = ask(context, actual.name, Command(("/bin/sh", "-c", script), timeout=_PATIENCE))
    if "all" not in answer:
        return None
    lines = (line.partition(" ") for line in answer)
    return {name: version[:80] for name, _, version in lines if name in AGENTS}


def _show(context: Context, facts: dict[str, Any]) -> str:
    rows = [("project", facts["project"]), ("instance", facts["instance"]), ("status", _status_words(facts))]
    if facts["generation"] is not None:
        rows.append(("base", _base_words(facts)))
        rows.append(("made", f"{show_age(facts['created'])} ago"))
    if facts["disk"] is not None:
        rows.append(("disk", f"{show_size(facts['disk'])} used"))
    rows.append(("config", CONFIG_WORDS[facts["config"]]))
    rows += [("shared", _mount_words(mount)) for mount in facts["mounts"]]
    rows += [("agent", f"{name} {version}".rstrip()) for name, version in (facts["agents"] or {}).items()]
    rows += [("session", _session_words(record)) for record in facts["sessions"]]
    return pairs(_named_once(rows), screen_width(context))


def _named_once(rows: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Of rows with the same name the first has it: so one sees at a glance what belongs together."""
    return [("" if number and rows[number - 1][0] == name else name, text) for number, (name, text) in enumerate(rows)]


def _session_words(record: dict[str, Any]) -> str:
    return f"{record['what']} (process {record['pid']}), for {show_age(record['since'])}"


def _mount_words(mount: dict[str, Any]) -> str:
    place = mount["location"] if mount["point"].startswith(SESSIONS_POINT) else mount["point"]
    return f"{place}{'' if mount['writable'] else ' (read-only)'}"


def _status_words(facts: dict[str, Any]) -> str:
    if facts["status"] == "absent":
        return "absent: the first run makes it"
    since = f" for {show_age(facts['running_since'])}" if facts["running_since"] else ""
    change = "; the next run changes what is shared, or its resources" if facts["pending_change"] else ""
    return f"{facts['status']}{since}{change}"


def _base_words(facts: dict[str, Any]) -> str:
    older = facts["older_than_base"]
    note = (
        f", older than the newest, {facts['newest_generation']}: `agentvm rebase` gives it a new one and keeps its home"
    )
    return f"generation {facts['generation']}{note if older else ''}"
