"""`agentvm base init|apply|shell|snapshot|reset`: the base that all projects are cloned from."""

from __future__ import annotations

import os
from contextlib import ExitStack

from agentvm.commands.arguments import parse
from agentvm.context import Context
from agentvm.errors import UsageError
from agentvm.instances import base_spec, carry_out, check_connection, clear_unfinished, init_base, snapshot_spec
from agentvm.model import Role, Session, Status
from agentvm.plan import (
    goldens_of,
    half_goldens_of,
    newest_golden,
    plan_apply,
    plan_base_shell,
    plan_reset,
    plan_snapshot,
)
from agentvm.quoting import quote


def base(context: Context, arguments: tuple[str, ...]) -> int:
    if not arguments:
        raise UsageError("`agentvm base` needs a command.", f"There are {', '.join(COMMANDS)}.")
    name, *rest = arguments
    options = parse("base", tuple(rest), name)
    return FORCEFUL[name](context, options.force) if name in FORCEFUL else PLAIN[name](context)


def _init(context: Context) -> int:
    with context.state.change(_name(context), "making the base"):
        done = init_base(context)
        golden = newest_golden(context.backend.list(), context.prefix)
    if done and not context.dry_run:
        context.console.say(f"the base is ready: {golden.name if golden else ''}; `agentvm codex` in a project uses it")
    elif golden:
        context.console.say(f"the base is there already ({golden.name}); `agentvm base apply` changes it")
    return 0


def _apply(context: Context) -> int:
    from agentvm.manifest import load_manifest

    load_manifest(context.settings.base_manifest_dir)
    spec = base_spec(context.prefix)
    with context.state.change(spec.name, "provisioning the base"):
        golden = newest_golden(context.backend.list(), context.prefix)
        context.backend.validate(spec)
        carry_out(context, spec.name, plan_apply(spec, context.backend.find(spec.name), golden), "provisioning")
    context.console.say("projects see it after `agentvm base snapshot`; `agentvm base reset` takes it back")
    return 0


def _shell(context: Context) -> int:
    spec = base_spec(context.prefix)
    with ExitStack() as held:
        with context.state.change(spec.name, "starting the base"):
            golden = newest_golden(context.backend.list(), context.prefix)
            actual = context.backend.find(spec.name)
            if actual is None and golden is None:
                raise UsageError("There is no base yet.", "`agentvm base init` makes it.")
            carry_out(context, spec.name, plan_base_shell(spec, actual, golden), "starting it anew")
            held.enter_context(context.state.use(spec.name, "base shell"))
        if context.dry_run:
            return 0
        terminal = context.host.stdin_terminal and context.host.stdout_terminal
        script = f'cd && exec "${{SHELL:-/bin/sh}}" -l # {quote(spec.name)}'
        session = Session(script, terminal, os.urandom(8).hex(), open=True)
        return check_connection(context, spec.name, context.backend.session(spec.name, session))


def _snapshot(context: Context, force: bool) -> int:
    spec = base_spec(context.prefix)
    with context.state.change(spec.name, "taking a snapshot of the base"):
        instances = context.backend.list()
        goldens = goldens_of(instances, context.prefix)
        last = max((golden.label.spec.generation for golden in goldens if golden.label), default=0)
        snapshot = snapshot_spec(context.prefix, max(last, context.state.newest_generation()) + 1)
        clear_unfinished(context, snapshot.name)
        stale = (*goldens, *half_goldens_of(instances, context.prefix))
        plan = plan_snapshot(spec, context.backend.find(spec.name), snapshot, stale)
        carry_out(context, spec.name, plan, "taking a snapshot", force)
        if not context.dry_run:
            context.state.remember_generation(snapshot.generation)
    context.console.say(f"new projects are cloned from {snapshot.name}")
    _tell_older_projects(context, snapshot.generation)
    return 0


def _tell_older_projects(context: Context, newest: int) -> None:
    labels = (instance.label for instance in context.backend.list() if instance.status is not Status.INCOMPLETE)
    specs = [label.spec for label in labels if label and label.spec.prefix == context.prefix]
    older = [spec.project for spec in specs if spec.role is Role.PROJECT and spec.generation < newest]
    if older:
        context.console.say(
            f"older than it, and unchanged: {', '.join(older)} (`agentvm rebase` there keeps the home directory)"
        )


def _reset(context: Context, force: bool) -> int:
    spec = base_spec(context.prefix)
    with context.state.change(spec.name, "resetting the base"):
        golden = newest_golden(context.backend.list(), context.prefix)
        actual = context.backend.find(spec.name)
        carry_out(context, spec.name, plan_reset(spec, actual, golden), "resetting it", force)
    return 0


def _name(context: Context) -> str:
    return base_spec(context.prefix).name


PLAIN = {"init": _init, "apply": _apply, "shell": _shell}
FORCEFUL = {"snapshot": _snapshot, "reset": _reset}
"""Those that would end a shell in the base, and do so when they are told to."""
COMMANDS = (*PLAIN, *FORCEFUL)
