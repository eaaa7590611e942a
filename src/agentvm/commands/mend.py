"""What killed runs leave behind, and what `agentvm doctor --fix` does about it: nothing that anybody could miss.

A VM that holds something is never deleted here, nor a file of the user's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from agentvm.commands.listing import our_instances
from agentvm.commands.target import is_unfinished, lock_name
from agentvm.context import Context
from agentvm.instances import carry_out
from agentvm.model import Finding, Instance, Role
from agentvm.plan import has_own_name, is_whole, kin_of, plan_remove

FIX = "agentvm doctor --fix"


class Mend(NamedTuple):
    """One thing to mend: what doctor says about it, and what it does; `done` is said when it was done."""

    finding: Finding
    done: str
    carry_out: Callable[[], None]


def find_mends(context: Context, instances: tuple[Instance, ...]) -> tuple[Mend, ...]:
    return (*_private(context), *_instances(context, instances), *_litter(context, instances))


def _private(context: Context) -> tuple[Mend, ...]:
    paths = ", ".join(context.state.public_directories())
    if not paths:
        return ()
    finding = Finding("warning", "state", f"others may look into {paths}", f"`{FIX}` makes it private", FIX)
    return (Mend(finding, f"made {paths} private", context.state.make_private),)


def _instances(context: Context, instances: tuple[Instance, ...]) -> tuple[Mend, ...]:
    found = []
    for instance in our_instances(context, instances):
        what = _leftover(context, instance, instances)
        if what and not _is_busy(context, instance):
            finding = Finding("warning", instance.name, what, f"`{FIX}` deletes it", FIX)
            found.append(Mend(finding, f"deleted {instance.name}", _deletion(context, instance)))
    return tuple(found)


def _leftover(context: Context, instance: Instance, instances: tuple[Instance, ...]) -> str:
    """Why nobody needs an instance; empty when somebody may."""
    label = instance.label
    if label is None:
        return "was half-made by a run that was killed"
    if label.spec.role is Role.DRAFT:
        return "was left by a rebase or an adoption that was killed"
    if label.spec.role is not Role.PROJECT or has_own_name(instance):
        return ""
    kin = kin_of(instances, context.prefix, label.spec.project)
    own = any(has_own_name(one) and is_whole(one) and one.label and one.label.spec.role is Role.PROJECT for one in kin)
    return f"is a second copy of the VM of {label.spec.project}, left by a run that was killed" if own else ""


def _litter(context: Context, instances: tuple[Instance, ...]) -> tuple[Mend, ...]:
    found = []
    for instance in our_instances(context, instances):
        paths = ", ".join(context.backend.tidy(instance.name, rehearse=True))
        if paths and not _is_busy(context, instance):
            finding = Finding("warning", instance.name, f"nobody answers on {paths}", f"`{FIX}` removes it", FIX)
            found.append(Mend(finding, f"removed {paths}", _tidying(context, instance)))
    return tuple(found)


def _is_busy(context: Context, instance: Instance) -> bool:
    """Whether an agentvm is about to make, move or delete it: then it is no leftover."""
    return any(context.state.changing(name) for name in {instance.name, lock_name(context, instance)})


def _deletion(context: Context, instance: Instance) -> Callable[[], None]:
    def delete() -> None:
        with context.state.change(lock_name(context, instance), f"removing {instance.name}"):
            again = context.backend.find(instance.name)
            if again is not None and (is_unfinished(again) or _leftover(context, again, context.backend.list())):
                carry_out(context, instance.name, plan_remove(again), "removing it")

    return delete


def _tidying(context: Context, instance: Instance) -> Callable[[], None]:
    def tidy() -> None:
        with context.state.change(lock_name(context, instance), f"tidying {instance.name}"):
            context.backend.tidy(instance.name, context.dry_run)

    return tidy
