"""`agentvm doctor`: what is well, what is not, and what mends it."""

from __future__ import annotations

import json
import os

from agentvm.agents import AGENTS
from agentvm.commands.agents import agent_findings
from agentvm.commands.arguments import parse
from agentvm.commands.preferences import show_values
from agentvm.commands.status import CONFIG_WORDS
from agentvm.commands.target import current_project, project_spec
from agentvm.commands.words import table
from agentvm.context import Context
from agentvm.copies import read_copies
from agentvm.errors import Error
from agentvm.model import Finding, Status
from agentvm.plan import newest_golden
from agentvm.settings import OVERLAY
from agentvm.sharing import plan_sharing

_SIGNS = {"ok": "ok", "warning": "warn", "error": "FAIL"}


def doctor(context: Context, arguments: tuple[str, ...]) -> int:
    """Exit status 1 when something is broken, 0 else; warnings are no failure."""
    options = parse("doctor", arguments)
    findings = (*context.backend.check(), _manifest(context), *_instances(context), *_project(context))
    findings += (*_path(context), *_shims(context), *agent_findings(context))
    if options.json:
        context.console.product(json.dumps({"schema": 1, "findings": [f._asdict() for f in findings]}, indent=2))
    else:
        rows = [(_SIGNS[f.verdict], f.subject, f.text + (f" -> {f.hint}" if f.hint else "")) for f in findings]
        context.console.product(table(rows))
        context.console.product("\nsettings\n" + show_values(context))
    return 1 if any(finding.verdict == "error" for finding in findings) else 0


def _manifest(context: Context) -> Finding:
    from agentvm.manifest import load_manifest

    try:
        manifest = load_manifest(context.settings.base_manifest_dir)
    except Error as problem:
        return Finding("error", "manifest", problem.message, problem.hint)
    return Finding(
        "ok",
        "manifest",
        f"{len(manifest.packages)} packages and {len(manifest.scripts)} scripts from {manifest.source}",
    )


def _instances(context: Context) -> tuple[Finding, ...]:
    try:
        instances = context.backend.list()
    except Error as problem:
        return (Finding("error", "instances", problem.message, problem.hint),)
    golden = newest_golden(instances, context.prefix)
    base = (
        Finding("ok", "base", f"newest snapshot {golden.name}")
        if golden
        else Finding("warning", "base", "there is none yet", "`agentvm base init`, or the first run makes it")
    )
    broken = [i for i in instances if i.label and i.label.spec.prefix == context.prefix and i.status is Status.BROKEN]
    return (base, *(Finding("warning", i.name, f"is broken: {i.detail}", "the next run mends it") for i in broken))


def _project(context: Context) -> tuple[Finding, ...]:
    try:
        project = current_project(context)
        sharing = plan_sharing(context.host, context.settings, project)
        copies = read_copies(context.host, context.settings, contents=False)
        spec = project_spec(context, project, sharing)
        context.backend.validate(spec)
    except Error as problem:
        return (Finding("warning", "project", problem.message, problem.hint),)
    found = Finding("ok", "project", f"{project.root} -> {spec.name}")
    said = (*sharing.notices, *copies.notices) if context.settings.config == OVERLAY else ()
    return (
        found,
        Finding("ok", "config", CONFIG_WORDS[context.settings.config]),
        *(Finding("warning", "config", text) for text in said),
    )


def _path(context: Context) -> tuple[Finding, ...]:
    """agentvm leaves them out; the user's shell does not, and agentvm itself begins with a `python3` from there."""
    text = "is on your PATH, and programs in VMs can write there: what they put there, your shell runs by name"
    hint = "name it behind the others, or take it out"
    return tuple(Finding("warning", "PATH", f"{place or '(empty)'} {text}", hint) for place in context.host.unsafe_path)


def _shims(context: Context) -> tuple[Finding, ...]:
    from agentvm.commands.shims import is_shim

    found = []
    for name in AGENTS:
        first = _first_on_path(context, name)
        if first and is_shim(first):
            found.append(Finding("ok", "shim", f"{name} runs in a VM ({first})"))
    return tuple(found)


def _first_on_path(context: Context, name: str) -> str:
    for directory in context.host.environment.get("PATH", "").split(os.pathsep):
        path = os.path.join(directory or ".", name)
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    return ""
