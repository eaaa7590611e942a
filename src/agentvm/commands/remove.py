"""`agentvm stop|rm|prune`: end VMs, and never one that is not ours."""

from __future__ import annotations

import os

from agentvm.commands.arguments import parse
from agentvm.commands.listing import our_instances
from agentvm.commands.target import current_name, is_unfinished, lock_name, named_instance
from agentvm.context import Context
from agentvm.errors import Error
from agentvm.instances import carry_out
from agentvm.model import Instance, Role, Status
from agentvm.plan import plan_remove, plan_stop


def stop(context: Context, arguments: tuple[str, ...]) -> int:
    options = parse("stop", arguments)
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
        _remove(context, instance, options.force)
    else:
        _tidy(context)
    return 0


def prune(context: Context, arguments: tuple[str, ...]) -> int:
    """Delete stopped project VMs, those whose project is gone, and what killed runs left."""
    if parse("prune", arguments).dry_run:
        context = context.rehearse()
    pruned, kept = 0, 0
    for instance in our_instances(context, context.backend.list()):
        if not _is_prunable(instance):
            continue
        try:
            _remove(context, instance, force=None)
            pruned += 1
        except Error as problem:
            context.console.fail(f"{problem.message}\n  {problem.hint}" if problem.hint else problem.message)
            kept += 1
    _tidy(context)
    context.console.say(f"{pruned} {'would be ' if context.dry_run else ''}pruned" + (f", {kept} kept" if kept else ""))
    return 1 if kept else 0


def _is_prunable(instance: Instance) -> bool:
    label = instance.label
    if label is None:
        return is_unfinished(instance)
    if label.spec.role is not Role.PROJECT:
        return False
    return instance.status is Status.STOPPED or not os.path.isdir(label.spec.project)


def _target(context: Context, name: str | None) -> Instance | None:
    if name is not None:
        return named_instance(context, name)
    name = current_name(context)
    if context.backend.find(name) is None:
        context.console.say(f"this project has no VM ({name})")
        return None
    return named_instance(context, name)


def _remove(context: Context, instance: Instance, force: bool | None) -> None:
    lock = lock_name(context, instance)
    with context.state.change(lock, f"removing {instance.name}"):
        again = context.backend.find(instance.name)
        if again is None:
            return
        carry_out(context, instance.name, plan_remove(named_instance(context, instance.name)), "removing it", force)
        if lock == instance.name and not context.dry_run:
            _tell_forgotten(context, instance)
            context.state.forget(instance.name)


def _tidy(context: Context) -> None:
    """Remove what is left of VMs that are gone, when a kill came right after they were deleted: locks and notes."""
    listed = {instance.name for instance in context.backend.list()}

    def is_there(name: str) -> bool:
        if name in listed or context.backend.find(name) is not None:
            return True
        context.backend.delete(name)
        return False

    context.state.tidy(is_there)


def _tell_forgotten(context: Context, instance: Instance) -> None:
    """What nobody decided about is in the project still, and there is nothing left to compare it with."""
    from agentvm.tripwire.memory import Memory

    if pending := Memory(context.state.memory(instance.name), writes=False).pending:
        context.console.fail(
            f"{pending} changes of what this computer runs were not accepted, and are forgotten with {instance.name}: "
            "look at the project yourself"
        )
