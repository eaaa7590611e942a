"""`agentvm rebase`: a project gets a VM from the newest base, and keeps its home directory."""

from __future__ import annotations

from contextlib import ExitStack

from agentvm.apply import apply
from agentvm.commands.arguments import parse
from agentvm.commands.target import current_project, project_spec
from agentvm.context import Context
from agentvm.errors import Error
from agentvm.instances import alone, find_golden, tidy
from agentvm.model import Instance, InstanceSpec
from agentvm.plan import (
    Clone,
    Plan,
    heir_of,
    is_whole,
    kin_of,
    next_name,
    plan_project,
    plan_rebase,
    plan_remove,
    plan_rest,
)
from agentvm.project import base_name
from agentvm.sharing import plan_sharing


def rebase(context: Context, arguments: tuple[str, ...]) -> int:
    options = parse("rebase", arguments)
    project = current_project(context)
    wanted = project_spec(context, project, plan_sharing(context.host, context.settings, project))
    context.backend.validate(wanted)
    context.backend.validate(wanted._replace(name=next_name(wanted.name)))
    with ExitStack() as held:
        for name in (wanted.name, next_name(wanted.name)):
            held.enter_context(context.state.change(name, f"rebasing {wanted.name}"))
        if not options.force:
            held.enter_context(alone(context, wanted.name, "rebasing it", options.force))
        _rebase(context, wanted, options.force)
        if not context.dry_run:
            context.state.forget(next_name(wanted.name))
    tidy(context)
    return 0


def _rebase(context: Context, wanted: InstanceSpec, force: bool) -> None:
    with context.state.keep(base_name(context.prefix), f"rebasing {wanted.name}"):
        instances = context.backend.list()
        golden = find_golden(context, instances)
        actual = _finish_swap(context, wanted, instances)
        left = _left(context, wanted)
        if golden is None:
            raise Error("There is no base.", "`agentvm base init` makes it.")
        if not _is_older(actual, golden):
            apply(context, (*(action for one in left for action in plan_remove(one)), *plan_rest(wanted, actual)))
            context.console.say(f"{wanted.name} is from the newest base already ({golden.name})")
            return
        context.console.say(
            "the home directory is kept; what was installed or changed outside of it (apt, /etc, /usr/local) is not"
        )
        plan = plan_rebase(wanted, actual, golden, left, force)
        first = next(number for number, action in enumerate(plan, 1) if isinstance(action, Clone))
        apply(context, plan[:first])
    _carry_on(context, wanted.name, plan[first:])
    would = "would be" if context.dry_run else "is"
    context.console.say(f"{wanted.name} {would} from {golden.name} now; `agentvm update` brings its agents up to date")


def _finish_swap(context: Context, wanted: InstanceSpec, instances: tuple[Instance, ...]) -> Instance:
    """The project's VM; one whose swap was killed half-way is brought to its place first."""
    actual = context.backend.find(wanted.name)
    if actual is None or not is_whole(actual):
        heir = heir_of(instances, context.prefix, wanted.project)
        if heir is None or context.dry_run:
            raise Error("This project has no VM.", "The first run makes one from the newest base.")
        *plan, _start = plan_project(wanted, actual, None, heir)
        apply(context, tuple(plan))
        return _finish_swap(context, wanted, ())
    plan_project(wanted, actual, None)  # Raises when it is not this project's.
    return actual


def _carry_on(context: Context, name: str, plan: Plan) -> None:
    """The old VM is whole until its label says otherwise: a failure before that takes the draft away again."""
    try:
        apply(context, plan)
    except BaseException:
        draft = context.backend.find(next_name(name))
        if draft is not None and not is_whole(draft):
            context.console.say("taking back what was begun; the VM is as it was")
            apply(context, plan_remove(draft))
        raise


def _is_older(actual: Instance, golden: Instance) -> bool:
    have, newest = actual.label, golden.label
    return have is None or newest is None or have.spec.generation < newest.spec.generation


def _left(context: Context, wanted: InstanceSpec) -> tuple[Instance, ...]:
    """What an earlier rebase or adoption left beside the project's VM."""
    half = context.backend.find(next_name(wanted.name))
    kin = kin_of(context.backend.list(), context.prefix, wanted.project)
    found = {one.name: one for one in kin if one.name != wanted.name}
    if half is not None and half.name not in found:
        if half.label is not None or is_whole(half):
            raise Error(f"{half.name} is there and is not this project's.", f"`agentvm rm {half.name}` if it is yours.")
        found[half.name] = half
    return tuple(found.values())
