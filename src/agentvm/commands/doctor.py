"""`agentvm doctor`: what is well, what is not, and what mends it."""

from __future__ import annotations

import json
import os

from agentvm.agents import AGENTS
from agentvm.commands.agents import agent_findings
from agentvm.commands.arguments import parse
from agentvm.commands.columns import cells, on_one_line, screen_width, wrap
from agentvm.commands.mend import Mend, find_mends
from agentvm.commands.preferences import show_changed, show_values
from agentvm.commands.schemas import SCHEMA
from agentvm.commands.status import CONFIG_WORDS
from agentvm.commands.target import current_project, project_spec
from agentvm.context import Context
from agentvm.copies import read_copies
from agentvm.errors import Error, nearest
from agentvm.instances import is_lost
from agentvm.model import Finding, Instance, Status
from agentvm.plan import has_own_name, heir_of, is_whole, kin_of, newest_golden
from agentvm.quoting import quote
from agentvm.settings import OVERLAY, SETTINGS
from agentvm.sharing import plan_sharing

_NARROW = 60
"""Columns of a terminal, up to which texts are not aligned."""
_SIGNS = {"ok": "ok", "warning": "warn", "error": "FAIL"}


def doctor(context: Context, arguments: tuple[str, ...]) -> int:
    """Exit status 1 when something is broken, 0 else; warnings are no failure."""
    options = parse("doctor", arguments)
    mended = _mend(context) if options.fix else ()
    findings = (*mended, *context.backend.check(), _manifest(context), *_instances(context), *_project(context))
    findings += (*_variables(context), *_path(context), *_shims(context), *agent_findings(context))
    if options.json:
        context.console.product(json.dumps({"schema": SCHEMA, "findings": [f._asdict() for f in findings]}, indent=2))
    else:
        width = screen_width(context)
        context.console.product(_show(findings, width))
        # Who pastes it into a report pipes it: that has every one.
        context.console.product("\nsettings\n" + (show_changed(context) if width else show_values(context)))
    return 1 if any(finding.verdict == "error" for finding in findings) else 0


def _mend(context: Context) -> tuple[Finding, ...]:
    """Do what is harmless, and tell of it; what can't be done is no reason to stop looking."""
    try:
        mends = find_mends(context, context.backend.list())
    except Error:
        # What is wrong with the list is told below.
        return ()
    if context.dry_run:
        for mend in mends:
            context.console.say(f"would have {mend.done}")
        return ()
    return tuple(_mend_one(mend) for mend in mends)


def _mend_one(mend: Mend) -> Finding:
    try:
        mend.carry_out()
    except Error as problem:
        return Finding(
            "warning", mend.finding.subject, f"{mend.finding.text}, and still is: {problem.message}", problem.hint
        )
    return Finding("ok", mend.finding.subject, f"{mend.finding.text}; mended: {mend.done}")


def _show(findings: tuple[Finding, ...], width: int | None) -> str:
    """A line for each, which goes on below its text where the terminal is narrow."""
    subjects = max(cells(finding.subject) for finding in findings) if width is None or width > _NARROW else 0
    lines = []
    for finding in findings:
        start = f"{_SIGNS[finding.verdict]:4}  {finding.subject:{subjects}}  "
        indent = cells(start) if subjects else 6
        lines.append(wrap(start, on_one_line(finding.text + _remedy(finding)), width, indent))
    return "\n".join(lines)


def _remedy(finding: Finding) -> str:
    named = finding.command and finding.command not in finding.hint
    hint = finding.hint.removesuffix(".") if named else finding.hint
    words = [hint] if hint else []
    words += [f"`{finding.command}`"] if named else []
    return f" -> {': '.join(words)}" if words else ""


def _manifest(context: Context) -> Finding:
    from agentvm.manifest import load_manifest

    try:
        manifest = load_manifest(context.settings.base_manifest_dir)
    except Error as problem:
        return Finding("error", "manifest", problem.message, problem.hint, "unset AGENTVM_BASE_MANIFEST_DIR")
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
        else Finding(
            "warning",
            "base",
            "there is none yet",
            "`agentvm base init`, or the first run makes it",
            "agentvm base init",
        )
    )
    ours = [one for one in instances if one.label and one.label.spec.prefix == context.prefix]
    return (
        base,
        *(_broken(one) for one in ours if one.status is Status.BROKEN),
        *(_lost(one) for one in ours if is_lost(one, context.prefix)),
        *_halfway(context, instances),
        *(mend.finding for mend in find_mends(context, instances)),
    )


def _broken(instance: Instance) -> Finding:
    command = f"agentvm stop {instance.name} --force"
    return Finding("warning", instance.name, f"is broken: {instance.detail}", "the next run mends it", command)


def _lost(instance: Instance) -> Finding:
    project = instance.label.spec.project if instance.label else ""
    return Finding(
        "warning",
        instance.name,
        f"its project is gone: {project}",
        f"if it moved, `agentvm adopt {instance.name}` there; else `agentvm prune` deletes it",
        f"agentvm adopt {instance.name}",
    )


def _halfway(context: Context, instances: tuple[Instance, ...]) -> tuple[Finding, ...]:
    """An heir whose place is free: the next run in its project gives it the name."""
    found = []
    for project in sorted({one.label.spec.project for one in instances if one.label}):
        kin = kin_of(instances, context.prefix, project)
        heir = heir_of(instances, context.prefix, project)
        if heir and not any(has_own_name(one) and is_whole(one) for one in kin) and os.path.isdir(project):
            command = f"cd {quote(project)} && agentvm shell -- true"
            found.append(
                Finding("warning", heir.name, f"is on its way to {project}", "the next run there goes on", command)
            )
    return tuple(found)


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


def _variables(context: Context) -> tuple[Finding, ...]:
    """A misspelt setting changes nothing, and nobody notices. Others may have variables that begin like ours."""
    known = {setting.variable for setting in SETTINGS}
    unknown = sorted(name for name in context.host.environment if name.startswith("AGENTVM_") and name not in known)
    meant = ((name, nearest(name, known, 0.85)) for name in unknown)
    return tuple(Finding("warning", "settings", f"{name} is no setting.{hint}") for name, hint in meant if hint)


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
