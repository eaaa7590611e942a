"""Bring instances to where they are wanted, under their locks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from agentvm.apply import apply, make_locations
from agentvm.console import one_line
from agentvm.context import Context
from agentvm.errors import Error
from agentvm.model import Certificates, Command, Copies, Instance, InstanceSpec, Role, Status
from agentvm.paths import is_below
from agentvm.plan import (
    Plan,
    Reconfigure,
    disturbs,
    generation_of,
    heir_of,
    is_whole,
    newest_golden,
    plan_init,
    plan_project,
)
from agentvm.project import base_name, golden_name
from agentvm.state import CERTIFICATES, COPIES
from agentvm.untrusted import Answer

_LOST = 255
"""What ssh returns when the connection was lost."""


@contextmanager
def in_use(context: Context, wanted: InstanceSpec, what: str) -> Iterator[Instance]:
    """Have the project's instance RUNNING as wanted, and kept so for the time of a session.

    The first look is under the session's own lock only: when everything is as it should be, nothing else is done.
    """
    with ExitStack() as held:
        held.enter_context(context.state.look(wanted.name))
        actual = context.backend.find(wanted.name)
        if actual is None or not is_whole(actual) or plan_project(wanted, actual, None):
            held.close()
            with context.state.change(wanted.name, f"getting {wanted.name} ready"):
                bring(context, wanted)
                held.enter_context(context.state.use(wanted.name, what))
            actual = context.backend.find(wanted.name)
        else:
            held.enter_context(context.state.use(wanted.name, what))
        if actual is None:
            raise Error(
                f"{wanted.name} is gone: it was deleted by somebody else.", "Run the command again to make a new one."
            )
        yield actual


def bring(context: Context, wanted: InstanceSpec) -> None:
    """Carry out what is left to do for a project's instance. The caller holds its `change` lock."""
    actual = context.backend.find(wanted.name)
    if actual is not None and is_whole(actual):
        plan = plan_project(wanted, actual, None)
        why = next((f" ({action.why})" for action in plan if isinstance(action, Reconfigure)), "")
        carry_out(context, wanted.name, plan, f"changing it{why}")
        return
    context.backend.validate(wanted)
    check_not_wider(context, wanted)
    if not context.dry_run:
        make_locations(wanted)
    while not _clone_from_golden(context, wanted, actual):
        context.console.say("there is no base yet: making it takes some minutes, once")
        with context.state.change(base_name(context.prefix), "making the base"):
            init_base(context)
        if context.dry_run:
            context.console.say(f"would then clone it to {wanted.name} and start that")
            return


def check_not_wider(context: Context, wanted: InstanceSpec) -> None:
    """Refuse what a guest could bring about by removing its project's .git: the work tree around it would be shared."""
    for label in (instance.label for instance in context.backend.list()):
        if label is None or label.spec.role is not Role.PROJECT or label.spec.prefix != context.prefix:
            continue
        inner = label.spec.project
        if inner != wanted.project and is_below(context.host.directory, inner) and is_below(inner, wanted.project):
            raise Error(
                f"{inner} has a VM of its own, but is no work tree now: all of {wanted.project} would be shared.",
                f"`git init` in {inner} makes it one again; `agentvm rm {label.spec.name}` if all is what you want.",
            )


def _clone_from_golden(context: Context, wanted: InstanceSpec, actual: Instance | None) -> bool:
    """Clone and start, keeping the golden from being deleted meanwhile; False when there is none."""
    with ExitStack() as held:
        held.enter_context(context.state.keep(base_name(context.prefix), f"cloning the base for {wanted.name}"))
        instances = context.backend.list()
        golden, heir = find_golden(context, instances), heir_of(instances, context.prefix, wanted.project)
        if golden is None and heir is None:
            return False
        if heir is None:
            _tell_moved(context, instances, wanted)
        *plan, start = plan_project(wanted, actual, golden, heir)
        apply(context, tuple(plan))
    apply(context, (start,))
    return True


def _tell_moved(context: Context, instances: tuple[Instance, ...], wanted: InstanceSpec) -> None:
    """Name the one VM that this project may have had in another place, before it gets a new one."""
    found = lost_vms(instances, wanted)
    if len(found) == 1 and found[0].label:
        context.console.say(
            f"{found[0].name} was the VM of {found[0].label.spec.project}, which is gone; if that is this project, moved: "
            f"`agentvm rm`, and then `agentvm adopt {found[0].name}` gives it that VM"
        )


def lost_vms(instances: tuple[Instance, ...], wanted: InstanceSpec) -> tuple[Instance, ...]:
    """The VMs of projects that are gone and were called like this one."""
    return tuple(
        instance
        for instance in instances
        if is_lost(instance, wanted.prefix)
        and instance.label
        and os.path.basename(instance.label.spec.project) == os.path.basename(wanted.project)
    )


def is_lost(instance: Instance, prefix: str) -> bool:
    """Whether it is a project's VM whose directory is gone."""
    label = instance.label
    if label is None or label.spec.prefix != prefix or label.spec.role is not Role.PROJECT:
        return False
    return not os.path.isdir(label.spec.project)


def carry_out(context: Context, name: str, plan: Plan, doing: str, force: bool | None = None) -> None:
    """Apply a plan for one instance; what would end sessions is refused while there are any, unless `force`.

    None is for a command that has no --force.
    """
    if disturbs(plan) and not force:
        with alone(context, name, doing, force):
            apply(context, plan)
    else:
        apply(context, plan)


def alone(context: Context, name: str, doing: str, force: bool | None = None) -> AbstractContextManager[None]:
    """Be sure that nobody uses the instance. The refusal says how sessions are ended; `force` is as for `carry_out`."""
    offered = f"`agentvm stop {name} --force` ends it" if force is None else "repeat with --force, which ends it"
    return context.state.alone(name, doing, f"End it, or {offered}.")


def find_golden(context: Context, instances: tuple[Instance, ...]) -> Instance | None:
    """The newest golden of these. Its generation is noted, unless it was: a kill may have come between a snapshot and the note."""
    golden = newest_golden(instances, context.prefix)
    if golden is not None and generation_of(golden) > context.state.newest_generation():
        context.state.remember_generation(generation_of(golden))
    return golden


def check_connection(context: Context, name: str, status: int) -> int:
    """The exit status of what ran in a guest; Error that says so when it was the VM that ended, and not the program.

    ssh's own 255 may also be the program's.
    """
    if status != _LOST:
        return status
    again = "Run it again; the VM is then brought back."
    if by := context.state.changing(name):
        raise Error(f"It was ended from outside: another agentvm ({by}) is at work on the VM.", again)
    actual = context.backend.find(name)
    if actual is None or actual.status is not Status.RUNNING:
        raise Error(f"The connection was lost: {name} is {actual.status.value if actual else 'gone'}.", again)
    return status


def base_spec(prefix: str) -> InstanceSpec:
    return InstanceSpec(base_name(prefix), prefix, Role.BASE)


def snapshot_spec(prefix: str, generation: int) -> InstanceSpec:
    return InstanceSpec(golden_name(prefix, generation), prefix, Role.GOLDEN, generation=generation)


def ask(context: Context, name: str, command: Command) -> tuple[str, ...]:
    """The lines that a guest answers, as many as fit into a bound; none when it does not answer."""
    said = Answer()
    try:
        context.backend.run(name, command, said.add)
    except Error as problem:
        context.console.detail(problem.message)
    return tuple(str(said).splitlines())


def install_certificates(context: Context, actual: Instance, certificates: Certificates) -> None:
    """Have the guest trust the certificates that the host's variables name, and none that they named before."""
    mark = _mark(actual, certificates.digest) if certificates.pem else ""
    if context.state.remembered(actual.name, CERTIFICATES) == mark:
        return
    # A whole bundle takes the guest a minute: of sessions that start at once, one brings it.
    with context.state.noting(actual.name):
        if context.state.remembered(actual.name, CERTIFICATES) != mark:
            _bring_certificates(context, actual, certificates, mark)


def _bring_certificates(context: Context, actual: Instance, certificates: Certificates, mark: str) -> None:
    from agentvm.certificates import installing

    context.console.say("giving this VM the certificates that your environment names")
    said = Answer()
    if context.backend.run(actual.name, installing(certificates.pem), said.add) == 0:
        context.state.remember(actual.name, CERTIFICATES, mark)
    else:
        context.console.fail(f"they could not be installed, so the VM does without them: {one_line(str(said))}")


def bring_copies(context: Context, actual: Instance, copies: Copies) -> None:
    """Have the guest know what changed in the agents' settings; `copies` were read without contents."""
    mark = _mark(actual, copies.token)
    if not copies.token or context.state.remembered(actual.name, COPIES) == mark:
        return
    with context.state.noting(actual.name):
        if context.state.remembered(actual.name, COPIES) != mark:
            _bring_copies(context, actual, copies, mark)


def _bring_copies(context: Context, actual: Instance, copies: Copies, mark: str) -> None:
    from agentvm.copies import placing, read_copies, unpacking

    context.console.say("giving this VM copies of your agents' settings")
    whole = read_copies(context.host, context.settings, contents=True)
    for notice in whole.notices:
        # What can't be read is only known now.
        if notice not in copies.notices:
            context.console.say(notice)
    said = Answer()
    if context.backend.run(actual.name, unpacking(whole), context.console.pass_on) != 0:
        context.console.fail("they could not be written there (see above), so the VM works with what it has")
    elif context.backend.run(actual.name, placing(context.host), said.add) != 0:
        text = one_line(str(said))
        context.console.fail(f"their paths of this computer could not be made to lead to them: {text}")
    else:
        context.state.remember(actual.name, COPIES, mark)


def _mark(actual: Instance, token: str) -> str:
    """An instance that was made anew under the same name has nothing of what was noted."""
    return f"{actual.label.created if actual.label else 0} {token}"


def init_base(context: Context) -> bool:
    """Make base and first golden if there is no golden; whether there was anything to do. The caller holds the base's lock."""
    from agentvm.manifest import load_manifest

    base, first = base_spec(context.prefix), snapshot_spec(context.prefix, 1)
    context.backend.validate(first)
    plan = plan_init(base, context.backend.find(base.name), find_golden(context, context.backend.list()), first)
    if plan:
        # A mistake in the manifest shall be known before minutes were spent.
        load_manifest(context.settings.base_manifest_dir)
        clear_unfinished(context, first.name)
        carry_out(context, base.name, plan, "making the base")
        context.state.remember_generation(1)
    return bool(plan)


def clear_unfinished(context: Context, name: str) -> None:
    """Remove what a killed run left under a name that is about to be used."""
    left = context.backend.find(name)
    if left is not None and left.status is Status.INCOMPLETE and not context.dry_run:
        context.console.say(f"removing {name}, which an earlier run left unfinished")
        context.backend.delete(name)


def tidy(context: Context) -> None:
    """Remove what is left of VMs that are gone, when a kill came right after they were deleted: locks and notes."""
    listed = {instance.name for instance in context.backend.list()}

    def is_there(name: str) -> bool:
        if name in listed or context.backend.find(name) is not None:
            return True
        context.backend.delete(name)
        return False

    context.state.tidy(is_there)
