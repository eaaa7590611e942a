"""Bring instances to where they are wanted, under their locks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from agentvm.apply import apply, make_locations
from agentvm.context import Context
from agentvm.errors import Error
from agentvm.model import Certificates, Command, Instance, InstanceSpec, Role, Status
from agentvm.plan import Plan, disturbs, heir_of, is_whole, newest_golden, plan_init, plan_project
from agentvm.project import base_name, golden_name

_LARGEST_ANSWER = 100_000
"""Bytes."""


@contextmanager
def in_use(context: Context, wanted: InstanceSpec, what: str) -> Iterator[Instance]:
    """Have the project's instance RUNNING as wanted, and kept so for the time of a session.

    The first look is under the session's own lock only: when everything is as it should be, nothing else is done.
    """
    with ExitStack() as held:
        held.enter_context(context.state.use(wanted.name, what))
        actual = context.backend.find(wanted.name)
        if actual is None or not is_whole(actual) or plan_project(wanted, actual, None):
            held.close()
            with context.state.change(wanted.name, f"getting {wanted.name} ready"):
                bring(context, wanted)
                held.enter_context(context.state.use(wanted.name, what))
            actual = context.backend.find(wanted.name)
        if actual is None:
            raise Error(
                f"{wanted.name} is gone: it was deleted by somebody else.", "Run the command again to make a new one."
            )
        yield actual


def bring(context: Context, wanted: InstanceSpec) -> None:
    """Carry out what is left to do for a project's instance. The caller holds its `change` lock."""
    actual = context.backend.find(wanted.name)
    if actual is not None and is_whole(actual):
        carry_out(context, wanted.name, plan_project(wanted, actual, None), "another set of mounts or resources")
        return
    context.backend.validate(wanted)
    if not context.dry_run:
        make_locations(wanted)
    while not _clone_from_golden(context, wanted, actual):
        context.console.say("there is no base yet: making it takes some minutes, once")
        with context.state.change(base_name(context.prefix), "making the base"):
            init_base(context)
        if context.dry_run:
            context.console.say(f"would then clone it to {wanted.name} and start that")
            return


def _clone_from_golden(context: Context, wanted: InstanceSpec, actual: Instance | None) -> bool:
    """Clone and start, keeping the golden from being deleted meanwhile; False when there is none."""
    with ExitStack() as held:
        held.enter_context(context.state.keep(base_name(context.prefix)))
        instances = context.backend.list()
        golden, heir = newest_golden(instances, context.prefix), heir_of(instances, context.prefix, wanted.project)
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


def carry_out(context: Context, name: str, plan: Plan, doing: str, force: bool = False) -> None:
    """Apply a plan for one instance; what would end sessions is refused while there are any, unless `force`."""
    if disturbs(plan) and not force:
        with context.state.alone(name, doing):
            apply(context, plan)
    else:
        apply(context, plan)


def base_spec(prefix: str) -> InstanceSpec:
    return InstanceSpec(base_name(prefix), prefix, Role.BASE)


def snapshot_spec(prefix: str, generation: int) -> InstanceSpec:
    return InstanceSpec(golden_name(prefix, generation), prefix, Role.GOLDEN, generation=generation)


def ask(context: Context, name: str, command: Command) -> tuple[str, ...]:
    """The lines that a guest answers, as many as fit into a bound; none when it does not answer."""
    said = bytearray()

    def collect(data: bytes) -> None:
        said.extend(data[: _LARGEST_ANSWER - len(said)])

    try:
        context.backend.run(name, command, collect)
    except Error as problem:
        context.console.detail(problem.message)
    return tuple(said.decode(errors="replace").splitlines())


def install_certificates(context: Context, actual: Instance, certificates: Certificates) -> None:
    """Have the guest trust the certificates that the host's variables name, and none that they named before."""
    known = context.state.certificates(actual.name)
    mark = f"{actual.label.created if actual.label else 0} {certificates.digest}" if certificates.pem else ""
    if known == mark:
        return
    from agentvm.certificates import installing

    context.console.say("giving this VM the certificates that your environment names")
    said: list[bytes] = []
    if context.backend.run(actual.name, installing(certificates.pem), said.append) == 0:
        context.state.remember_certificates(actual.name, mark)
    else:
        text = b"".join(said).decode(errors="replace").strip()
        context.console.fail(f"they could not be installed, so the VM does without them: {text}")


def init_base(context: Context) -> bool:
    """Make base and first golden if there is no golden; whether there was anything to do. The caller holds the base's lock."""
    from agentvm.manifest import load_manifest

    base, first = base_spec(context.prefix), snapshot_spec(context.prefix, 1)
    context.backend.validate(first)
    golden = newest_golden(context.backend.list(), context.prefix)
    plan = plan_init(base, context.backend.find(base.name), golden, first)
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
