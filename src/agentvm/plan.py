"""Wanted x actual -> actions. Pure: what agentvm would do is a value that can be printed, compared and carried out."""

from __future__ import annotations

from agentvm.errors import Error, UsageError
from agentvm.model import Instance, InstanceSpec, Label, Role, Status
from agentvm.project import golden_name, instance_name
from agentvm.values import NamedTuple


class Create(NamedTuple):
    spec: InstanceSpec

    def __str__(self) -> str:
        return f"create {self.spec.name} from the base template"


class Clone(NamedTuple):
    source: str
    spec: InstanceSpec

    def __str__(self) -> str:
        return f"clone {self.source} to {self.spec.name}"


class Reconfigure(NamedTuple):
    spec: InstanceSpec
    why: str

    def __str__(self) -> str:
        return f"reconfigure {self.spec.name}, keeping its disk ({self.why})"


class Start(NamedTuple):
    name: str

    def __str__(self) -> str:
        return f"start {self.name}"


class Stop(NamedTuple):
    name: str
    force: bool = False

    def __str__(self) -> str:
        return f"stop {self.name}{' by force' if self.force else ''}"


class Delete(NamedTuple):
    name: str

    def __str__(self) -> str:
        return f"delete {self.name}"


class Provision(NamedTuple):
    """Run the manifest in the base."""

    name: str

    def __str__(self) -> str:
        return f"provision {self.name} from the manifest"


class Seal(NamedTuple):
    """Empty /etc/machine-id, so that each clone makes its own at its first boot."""

    name: str

    def __str__(self) -> str:
        return f"empty the machine id of {self.name}"


class CopyHome(NamedTuple):
    """Make the home directory in one guest what it is in another one."""

    source: str
    target: str

    def __str__(self) -> str:
        return f"copy the home directory of {self.source} to {self.target}"


Action = Create | Clone | Reconfigure | Start | Stop | Delete | Provision | Seal | CopyHome
Plan = tuple[Action, ...]


def plan_project(
    wanted: InstanceSpec, actual: Instance | None, golden: Instance | None, heir: Instance | None = None
) -> Plan:
    """What brings a project's instance to where it takes sessions. `golden` is only needed to make a new one.

    `heir` is a whole VM of this project under another name, which takes the place of one that is not there.
    """
    if actual is None and heir is not None and heir.label is not None:
        spec = heir.label.spec._replace(name=wanted.name)
        moved = Instance(wanted.name, Status.STOPPED, heir.label._replace(spec=spec))
        return (*plan_stop(heir), Clone(heir.name, spec), *plan_discard(heir), *plan_project(wanted, moved, None))
    if actual is None:
        if golden is None:
            raise ValueError("a clone needs a golden")
        return (Clone(golden.name, wanted._replace(generation=generation_of(golden))), Start(wanted.name))
    if not is_whole(actual):
        return (*plan_remove(actual), *plan_project(wanted, None, golden, heir))
    have = check_ours(actual, wanted.prefix, Role.PROJECT).spec
    wanted = wanted._replace(generation=have.generation)
    if have.project != wanted.project:
        raise Error(
            f"{wanted.name} belongs to another project, {have.project}.", f"`agentvm rm {wanted.name}` removes it."
        )
    if have == wanted:
        return _plan_start(actual)
    change = Reconfigure(wanted, _difference(have, wanted))
    if actual.status is Status.STOPPED:
        return (change, Start(wanted.name))
    return (Stop(wanted.name, force=actual.status is not Status.RUNNING), change, Start(wanted.name))


def plan_adopt(old: Instance, wanted: InstanceSpec, actual: Instance | None) -> Plan:
    """Give the project `wanted` the VM of a directory that is gone; nothing is started.

    The label comes first: from then on `old` is the heir, and whoever wants the project's VM carries on from there.
    """
    have = check_ours(old, wanted.prefix, Role.PROJECT)
    spec = have.spec._replace(project=wanted.project, mounts=())
    mark = () if have.spec == spec else (*plan_stop(old), Reconfigure(spec, f"it goes to {wanted.project}"))
    heir = Instance(old.name, Status.STOPPED, have._replace(spec=spec))
    *plan, _start = plan_project(wanted, actual, None, heir)
    return (*mark, *plan)


def plan_rebase(
    wanted: InstanceSpec, actual: Instance, golden: Instance, left: tuple[Instance, ...], force: bool = False
) -> Plan:
    """Give a project a VM from the newest golden with the home directory of the one it has; nothing is started at the end.

    The new one is made beside the old one, without the project's mounts: nothing of the host can come to harm in it. When
    it has the home, it becomes the heir by its label, then the old one a draft by its: at any moment one of them is whole.
    """
    have = check_ours(actual, wanted.prefix, Role.PROJECT)
    draft = wanted._replace(name=next_name(wanted.name), role=Role.DRAFT, generation=generation_of(golden), mounts=())
    spec = draft._replace(role=Role.PROJECT)
    heir = Instance(draft.name, Status.STOPPED, Label(spec, 0))
    old = Instance(actual.name, Status.STOPPED, have._replace(spec=have.spec._replace(role=Role.DRAFT, mounts=())))
    ended: Plan = plan_stop(actual) if force else ()
    *swap, _start = plan_project(wanted, old, golden, heir)
    return (
        *(action for instance in left for action in plan_remove(instance)),
        Clone(golden.name, draft),
        Start(draft.name),
        *ended,
        *_plan_start(actual._replace(status=Status.STOPPED) if ended else actual),
        CopyHome(actual.name, draft.name),
        Stop(draft.name),
        Stop(actual.name),
        Reconfigure(spec, "it has the home directory now"),
        *plan_discard(old)[:-1],
        *swap,
    )


def plan_rest(wanted: InstanceSpec, actual: Instance) -> Plan:
    """What a killed adoption or rebase may have left to do in the end, which the next run would do, too."""
    plan = plan_project(wanted, actual, None) if actual.status is Status.STOPPED else ()
    return tuple(action for action in plan if isinstance(action, Reconfigure))


def plan_discard(instance: Instance) -> Plan:
    """Delete a STOPPED instance that something else has replaced, so that half of it is never taken for a whole one."""
    if instance.label is None:
        return (Delete(instance.name),)
    spec = instance.label.spec._replace(role=Role.DRAFT, mounts=())
    return (Reconfigure(spec, "it is not needed any more"), Delete(instance.name))


def plan_init(base: InstanceSpec, actual: Instance | None, golden: Instance | None, snapshot: InstanceSpec) -> Plan:
    """From nothing, or from what a killed run left, to the first golden; nothing when there is one."""
    if golden is not None:
        return ()
    return (
        *_plan_base(base, actual),
        Provision(base.name),
        Seal(base.name),
        Stop(base.name),
        Clone(base.name, snapshot),
    )


def plan_apply(base: InstanceSpec, actual: Instance | None, golden: Instance | None) -> Plan:
    """Run the manifest in the working base, which is made again from the golden when somebody deleted it."""
    return (*_plan_base(base, actual, golden), Provision(base.name))


def plan_base_shell(base: InstanceSpec, actual: Instance | None, golden: Instance | None) -> Plan:
    return _plan_base(base, actual, golden)


def plan_snapshot(
    base: InstanceSpec, actual: Instance | None, snapshot: InstanceSpec, stale: tuple[Instance, ...]
) -> Plan:
    """Make the working base the newest golden, and then drop the `stale` ones: older, or left by a killed snapshot."""
    if actual is None or actual.status is Status.INCOMPLETE:
        raise Error("There is no base to take a snapshot of.", "`agentvm base init` makes one.")
    made = (Seal(base.name), Stop(base.name), Clone(base.name, snapshot))
    return (*_plan_base(base, actual), *made, *(Delete(old.name) for old in stale if old.name != snapshot.name))


def plan_reset(base: InstanceSpec, actual: Instance | None, golden: Instance | None) -> Plan:
    """Make the working base what the newest golden is."""
    if golden is None:
        raise Error("There is no snapshot to go back to.", "`agentvm base init` makes the base and its first snapshot.")
    clone = Clone(golden.name, base._replace(generation=generation_of(golden)))
    return (*(plan_remove(actual) if actual else ()), clone)


def plan_remove(actual: Instance) -> Plan:
    if actual.status in (Status.STOPPED, Status.INCOMPLETE):
        return (Delete(actual.name),)
    return (Stop(actual.name, force=actual.status is not Status.RUNNING), Delete(actual.name))


def plan_stop(actual: Instance) -> Plan:
    if actual.status in (Status.STOPPED, Status.INCOMPLETE):
        return ()
    return (Stop(actual.name, force=actual.status is not Status.RUNNING),)


def disturbs(plan: Plan) -> bool:
    """Whether a session that runs in an instance of the plan would be ended by it."""
    return any(isinstance(action, Stop | Delete | Reconfigure) for action in plan)


def is_whole(instance: Instance) -> bool:
    """Whether there is something in it that somebody wants."""
    draft = instance.label is not None and instance.label.spec.role is Role.DRAFT
    return instance.status is not Status.INCOMPLETE and not draft


def next_name(name: str) -> str:
    """The name of the VM that is to replace the project's VM `name`, while it is made."""
    return f"{name}-next"


def heir_of(instances: tuple[Instance, ...], prefix: str, project: str) -> Instance | None:
    """The whole VM of a project that does not have the project's name yet: an adoption or a rebase was killed."""
    found = [i for i in kin_of(instances, prefix, project) if is_whole(i) and not has_own_name(i)]
    return found[-1] if found else None


def kin_of(instances: tuple[Instance, ...], prefix: str, project: str) -> tuple[Instance, ...]:
    """All instances that are labelled with this project."""
    labelled = ((instance, instance.label) for instance in instances)
    return tuple(
        instance
        for instance, label in labelled
        if label and label.spec.prefix == prefix and label.spec.project == project != ""
    )


def has_own_name(instance: Instance) -> bool:
    """Whether it is called what its project's VM is called."""
    label = instance.label
    return label is not None and instance.name == instance_name(label.spec.prefix, label.spec.project)


def check_ours(actual: Instance, prefix: str, *roles: Role) -> Label:
    """The label of an instance that is agentvm's, has this prefix and one of the roles (any when none is named); else Error."""
    label = actual.label
    if label is None and actual.newer:
        raise Error(
            f"{actual.name} was made by a newer agentvm ({actual.newer}), whose label this one can't read, so it is left alone.",
            "Update agentvm on this computer; the VM is as it was.",
        )
    if label is None or label.spec.prefix != prefix:
        raise Error(
            f"{actual.name} is not an instance of agentvm with the prefix {prefix!r}, so it is left alone.",
            "`agentvm list` shows those that are; `limactl delete` removes any.",
        )
    if roles and label.spec.role not in roles:
        raise UsageError(f"{actual.name} is a {label.spec.role.value}.", "`agentvm list` tells what each instance is.")
    return label


def newest_golden(instances: tuple[Instance, ...], prefix: str) -> Instance | None:
    goldens = goldens_of(instances, prefix)
    return goldens[-1] if goldens else None


def goldens_of(instances: tuple[Instance, ...], prefix: str) -> tuple[Instance, ...]:
    """The whole goldens of this prefix, the newest last."""
    ours = (
        instance for instance in instances if _is_golden(instance, prefix) and instance.status is not Status.INCOMPLETE
    )
    return tuple(sorted(ours, key=generation_of))


def half_goldens_of(instances: tuple[Instance, ...], prefix: str) -> tuple[Instance, ...]:
    """What a snapshot that was killed left half-made or half-deleted."""
    start = golden_name(prefix, 0).removesuffix("0")
    names = (instance for instance in instances if instance.status is Status.INCOMPLETE)
    return tuple(half for half in names if half.name.startswith(start) and half.name.removeprefix(start).isdigit())


def _is_golden(instance: Instance, prefix: str) -> bool:
    label = instance.label
    return label is not None and label.spec.role is Role.GOLDEN and label.spec.prefix == prefix


def generation_of(golden: Instance) -> int:
    return golden.label.spec.generation if golden.label else 0


def _plan_base(base: InstanceSpec, actual: Instance | None, golden: Instance | None = None) -> Plan:
    """What brings the working base to where it takes commands."""
    if actual is None:
        if golden is None:
            return (Create(base), Start(base.name))
        return (Clone(golden.name, base._replace(generation=generation_of(golden))), Start(base.name))
    if actual.status is Status.INCOMPLETE:
        return (Delete(base.name), *_plan_base(base, None, golden))
    check_ours(actual, base.prefix, Role.BASE)
    return _plan_start(actual)


def _plan_start(actual: Instance) -> Plan:
    if actual.status is Status.RUNNING:
        return ()
    if actual.status is Status.BROKEN:
        return (Stop(actual.name, force=True), Start(actual.name))
    return (Start(actual.name),)


def _difference(have: InstanceSpec, wanted: InstanceSpec) -> str:
    gone = [mount.point for mount in have.mounts if mount not in wanted.mounts]
    new = [mount.point for mount in wanted.mounts if mount not in have.mounts]
    changes = [f"no longer shared: {', '.join(gone)}"] if gone else []
    changes += [f"newly shared: {', '.join(new)}"] if new else []
    changes += ["other resources"] if have.resources != wanted.resources else []
    return "; ".join(changes)
