"""`agentvm stop|rm|prune`: end VMs, and never one that is not ours."""

from __future__ import annotations

import os
import time

from agentvm.commands.arguments import parse
from agentvm.commands.listing import our_instances
from agentvm.commands.quantities import parse_duration, show_duration, show_size
from agentvm.commands.target import current_name, current_project, is_unfinished, lock_name, named_instance
from agentvm.context import Context
from agentvm.errors import Error, UsageError
from agentvm.instances import carry_out, tidy
from agentvm.model import Instance, Role, Status
from agentvm.plan import has_own_name, heir_of, kin_of, next_name, plan_remove, plan_stop


def stop(context: Context, arguments: tuple[str, ...]) -> int:
    options = parse("stop", arguments)
    if options.idle is not None:
        if options.force or options.instance:
            raise UsageError("`agentvm stop --idle` takes neither a name nor --force.", "It never ends a session.")
        return _stop_idle(context, parse_duration(options.idle, "--idle"))
    instance = _target(context, options.instance)
    if instance is None:
        return 0
    with context.state.change(lock_name(context, instance), f"stopping {instance.name}"):
        instance = named_instance(context, instance.name)
        plan = plan_stop(instance)
        carry_out(context, instance.name, plan, "stopping it", options.force)
    if not plan:
        context.console.say(f"{instance.name} is stopped already")
    return 0


def remove(context: Context, arguments: tuple[str, ...]) -> int:
    options = parse("rm", arguments)
    instance = _target(context, options.instance)
    if instance is not None:
        project = "" if options.instance else current_project(context).root
        everything = (*_relics(context, instance, project), instance)
        freed = sum(_remove(context, one, options.force) for one in everything)
        context.console.say(f"{show_size(freed)} {'would be ' if context.dry_run else ''}freed")
    else:
        tidy(context)
    return 0


def prune(context: Context, arguments: tuple[str, ...]) -> int:
    """Delete stopped project VMs, those whose project is gone, and what killed runs left."""
    options = parse("prune", arguments)
    age = 0 if options.older_than is None else parse_duration(options.older_than, "--older-than")
    if options.dry_run:
        context = context.rehearse()
    pruned, kept, freed = 0, 0, 0
    for instance in our_instances(context, context.backend.list()):
        if not _is_prunable(context, instance, age):
            continue
        try:
            freed += _remove(context, instance, force=None)
            pruned += 1
        except Error as problem:
            context.console.fail(f"{problem.message}\n  {problem.hint}" if problem.hint else problem.message)
            kept += 1
    tidy(context)
    would = "would be " if context.dry_run else ""
    left = f", {kept} kept" if kept else ""
    if not pruned and not kept:
        old = f" that nobody used for {show_duration(age)}" if age else ""
        context.console.say(f"there is nothing to prune: no VM{old} is stopped or without its project")
        return 0
    context.console.say(f"{pruned} {would}pruned{left}; {show_size(freed)} {would}freed")
    return 1 if kept else 0


def unused_for(context: Context, instance: Instance) -> float:
    """Seconds since its last session ended; where none is known since it was made or started, since that."""
    since = context.backend.measure(instance.name).since
    created = instance.label.created if instance.label else 0
    return time.time() - max(context.state.last_use(instance.name), since, created)


def _stop_idle(context: Context, limit: int) -> int:
    stopped = 0
    idle = [one for one in our_instances(context, context.backend.list()) if _is_idle(context, one, limit)]
    for instance in idle:
        with context.state.change(lock_name(context, instance), f"stopping {instance.name}"):
            stopped += _stop_if_idle(context, instance.name, limit)
    if not idle:
        context.console.say(f"there is nothing to stop: no running VM was without a session for {show_duration(limit)}")
        return 0
    would = "would be " if context.dry_run else ""
    context.console.say(f"{stopped} {would}stopped that had no session for {show_duration(limit)} or longer")
    return 0


def _stop_if_idle(context: Context, name: str, limit: int) -> bool:
    """Look again under the lock: somebody may have come, or stopped it."""
    instance = context.backend.find(name)
    if instance is None or not _is_idle(context, instance, limit):
        return False
    idle = show_duration(unused_for(context, instance))
    try:
        carry_out(context, name, plan_stop(instance), "stopping it")
    except Error as problem:
        context.console.fail(problem.message)
        return False
    context.console.say(f"{name} had no session for {idle}")
    return True


def _is_idle(context: Context, instance: Instance, limit: int) -> bool:
    label = instance.label
    runs = instance.status in (Status.RUNNING, Status.STARTING)
    if not runs or label is None or label.spec.role is not Role.PROJECT or context.state.sessions(instance.name):
        return False
    return unused_for(context, instance) >= limit


def _is_prunable(context: Context, instance: Instance, age: int) -> bool:
    """`age` is in seconds, and does not protect what holds nothing."""
    label = instance.label
    if label is None or label.spec.role is Role.DRAFT:
        return label is not None or is_unfinished(instance)
    if label.spec.role is not Role.PROJECT or (age and unused_for(context, instance) < age):
        return False
    return instance.status is Status.STOPPED or not os.path.isdir(label.spec.project)


def _target(context: Context, name: str | None) -> Instance | None:
    if name is not None:
        return named_instance(context, name)
    name = current_name(context)
    if context.backend.find(name) is None:
        heir = heir_of(context.backend.list(), context.prefix, current_project(context).root)
        if heir is not None:
            return heir
        context.console.say(f"this project has no VM ({name})")
        return None
    return named_instance(context, name)


def _relics(context: Context, instance: Instance, project: str) -> tuple[Instance, ...]:
    """What a killed adoption or rebase left beside a project's VM, which would come back in its place.

    A half-made VM does not know its project, so that is given where it is known.
    """
    if instance.label is not None and has_own_name(instance):
        project = instance.label.spec.project
    kin = kin_of(context.backend.list(), context.prefix, project)
    half = context.backend.find(next_name(instance.name))
    found = (*kin, half) if half is not None and is_unfinished(half) else kin
    return tuple(one for one in found if one.name != instance.name)


def _remove(context: Context, instance: Instance, force: bool | None) -> int:
    """Delete it; the bytes that its files had."""
    lock = lock_name(context, instance)
    with context.state.change(lock, f"removing {instance.name}"):
        again = context.backend.find(instance.name)
        if again is None:
            return 0
        size = context.backend.measure(instance.name).disk
        carry_out(context, instance.name, plan_remove(named_instance(context, instance.name)), "removing it", force)
        if lock == instance.name and not context.dry_run:
            tell_forgotten(context, instance)
            context.state.forget(instance.name)
        return size


def tell_forgotten(context: Context, instance: Instance) -> None:
    """What nobody decided about is in the project still, and there is nothing left to compare it with."""
    from agentvm.tripwire.memory import Memory

    if pending := Memory(context.state.memory(instance.name), writes=False).pending:
        context.console.fail(
            f"changes of what this computer runs, never accepted: {pending}; they are forgotten with {instance.name}: "
            "look at the project yourself"
        )
