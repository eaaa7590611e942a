"""`agentvm adopt`: a project whose directory moved gets the VM that it had in the old place."""

from __future__ import annotations

from agentvm.commands.arguments import parse
from agentvm.commands.listing import our_instances
from agentvm.commands.remove import tell_forgotten
from agentvm.commands.target import current_project, is_unfinished, named_instance, project_spec
from agentvm.context import Context
from agentvm.errors import Error, UsageError
from agentvm.instances import carry_out, check_not_wider, is_lost, lost_vms, tidy
from agentvm.model import Instance, InstanceSpec
from agentvm.plan import check_ours, heir_of, is_whole, kin_of, plan_adopt, plan_remove, plan_rest
from agentvm.sharing import plan_sharing
from agentvm.state import CERTIFICATES


def adopt(context: Context, arguments: tuple[str, ...]) -> int:
    options = parse("adopt", arguments)
    project = current_project(context)
    wanted = project_spec(context, project, plan_sharing(context.host, context.settings, project))
    context.backend.validate(wanted)
    check_not_wider(context, wanted)
    # The new place's lock first: who runs something here waits for the VM.
    with context.state.change(wanted.name, f"adopting a VM for {wanted.project}"):
        if not _is_done(context, wanted, options.instance):
            _adopt(context, wanted, _choose(context, wanted, options.instance).name)
    tidy(context)
    return 0


def _adopt(context: Context, wanted: InstanceSpec, name: str) -> None:
    with context.state.change(name, f"moving it to {wanted.project}"):
        old = _check(context, named_instance(context, name), wanted)
        if not context.dry_run:
            _hand_over(context, old, wanted)
        carry_out(context, name, plan_adopt(old, wanted, context.backend.find(wanted.name)), "adopting it")
        if not context.dry_run:
            context.state.forget(name)
    would = "would have" if context.dry_run else "has"
    context.console.say(f"{wanted.project} {would} that VM now, as {wanted.name}")


def _hand_over(context: Context, old: Instance, wanted: InstanceSpec) -> None:
    """What is noted of the old VM, before it is gone: a kill may come between."""
    tell_forgotten(context, old)
    if mark := context.state.remembered(old.name, CERTIFICATES):
        # It is no mark of the VM under its new name: so the next run looks at its certificates.
        context.state.remember(wanted.name, CERTIFICATES, mark)


def _is_done(context: Context, wanted: InstanceSpec, name: str | None) -> bool:
    """Whether an adoption that was killed had only its tail left to do. Raises Error when the project has another VM."""
    actual = context.backend.find(wanted.name)
    if actual is None or not is_whole(actual):
        return False
    check_ours(actual, context.prefix)
    instances = context.backend.list()
    left = _left(context, wanted, instances, name)
    if not left and (name or lost_vms(instances, wanted)):
        raise Error(
            f"This project has a VM already, {wanted.name}.",
            "If you can do without what is in it, `agentvm rm` removes it; then adopt the other one.",
        )
    for one in left:
        with context.state.change(one.name, f"removing {one.name}"):
            again = context.backend.find(one.name)
            if again is not None and again.label == one.label:
                carry_out(context, one.name, plan_remove(again), "removing it")
    carry_out(context, wanted.name, plan_rest(wanted, actual), "adopting it")
    context.console.say(f"{wanted.project} has its VM already, {wanted.name}")
    return True


def _left(
    context: Context, wanted: InstanceSpec, instances: tuple[Instance, ...], name: str | None
) -> tuple[Instance, ...]:
    """What is not needed any more of the VM in the old place. Half-deleted it has no label: then its name tells, which was
    given or begins like this project's; whatever is half-made and nobody's work is of no use to anybody."""
    kin = kin_of(instances, context.prefix, wanted.project)
    alike = wanted.name.rpartition("-")[0]
    halves = (one for one in our_instances(context, instances) if is_unfinished(one))
    half = (one for one in halves if one.name == name or one.name.rpartition("-")[0] == alike)
    return tuple(one for one in (*kin, *half) if one.name != wanted.name and not context.state.changing(one.name))


def _choose(context: Context, wanted: InstanceSpec, name: str | None) -> Instance:
    """The instance that was named; else what a killed adoption left, or the one that was called like this project."""
    if name is not None:
        return _check(context, named_instance(context, name), wanted)
    instances = context.backend.list()
    if heir := heir_of(instances, context.prefix, wanted.project):
        return heir
    found = lost_vms(instances, wanted)
    if len(found) == 1:
        return found[0]
    lost = [instance for instance in our_instances(context, instances) if is_lost(instance, context.prefix)]
    if not lost:
        raise Error("There is no VM whose project is gone.", "`agentvm list` tells which project each VM belongs to.")
    names = ", ".join(f"{one.name} ({one.label.spec.project})" for one in lost if one.label)
    raise UsageError(
        f"Which VM was this project's? Their projects are gone: {names}.", "Name it: `agentvm adopt INSTANCE`."
    )


def _check(context: Context, old: Instance, wanted: InstanceSpec) -> Instance:
    label = check_ours(old, context.prefix)
    if label.spec.project != wanted.project and not is_lost(old, context.prefix):
        raise UsageError(
            f"{old.name} is not the VM of a project that is gone"
            + (f": {label.spec.project} is there." if label.spec.project else "."),
            "Two directories can't have one VM.",
        )
    return old
