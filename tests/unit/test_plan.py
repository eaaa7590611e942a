"""One row for each state that an instance can be found in."""

from __future__ import annotations

import pytest

from agentvm.errors import Error, UsageError
from agentvm.model import Instance, InstanceSpec, Label, Mount, Resources, Role, Status
from agentvm.plan import (
    Clone,
    CopyHome,
    Create,
    Delete,
    Plan,
    Provision,
    Reconfigure,
    Seal,
    Start,
    Stop,
    check_ours,
    disturbs,
    goldens_of,
    half_goldens_of,
    has_own_name,
    heir_of,
    is_whole,
    newest_golden,
    plan_adopt,
    plan_apply,
    plan_base_shell,
    plan_init,
    plan_project,
    plan_rebase,
    plan_remove,
    plan_reset,
    plan_snapshot,
    plan_stop,
)
from agentvm.project import instance_name

PREFIX = "p"
WORK, GH = Mount("/w/web", "/w/web", True), Mount("/h/.config/gh", "/h/.config/gh", False)
WANTED = InstanceSpec("p-web", PREFIX, Role.PROJECT, "/w/web", mounts=(WORK, GH))
NAME = WANTED.name
BASE = InstanceSpec("p-base", PREFIX, Role.BASE)
FIRST = InstanceSpec("p-base-g1", PREFIX, Role.GOLDEN, generation=1)
SECOND = FIRST._replace(name="p-base-g2", generation=2)
NONE: Plan = ()


def instance(spec: InstanceSpec, status: Status = Status.STOPPED) -> Instance:
    label = None if status is Status.INCOMPLETE else Label(spec, 0)
    return Instance(spec.name, status, label)


GOLDEN = instance(SECOND)
MADE = WANTED._replace(generation=2)
OLD = WANTED._replace(generation=1)


@pytest.mark.parametrize(
    ("actual", "plan"),
    [
        (None, (Clone("p-base-g2", MADE), Start(NAME))),
        (instance(WANTED, Status.INCOMPLETE), (Delete(NAME), Clone("p-base-g2", MADE), Start(NAME))),
        (instance(OLD, Status.RUNNING), NONE),
        (instance(OLD, Status.STARTING), (Start(NAME),)),
        (instance(OLD, Status.STOPPED), (Start(NAME),)),
        (instance(OLD, Status.BROKEN), (Stop(NAME, True), Start(NAME))),
    ],
)
def test_a_project_as_wanted(actual: Instance | None, plan: Plan) -> None:
    assert plan_project(WANTED, actual, GOLDEN) == plan


@pytest.mark.parametrize(
    ("status", "before"),
    [
        (Status.RUNNING, (Stop(NAME),)),
        (Status.STARTING, (Stop(NAME, True),)),
        (Status.STOPPED, NONE),
        (Status.BROKEN, (Stop(NAME, True),)),
    ],
)
def test_a_project_with_other_mounts_keeps_its_disk_and_its_generation(status: Status, before: Plan) -> None:
    *first, change, start = plan_project(WANTED, instance(OLD._replace(mounts=(WORK,)), status), GOLDEN)
    assert (tuple(first), start) == (before, Start(NAME))
    assert isinstance(change, Reconfigure)
    assert change.spec == OLD


@pytest.mark.parametrize(
    ("have", "why"),
    [
        ({"mounts": (WORK,)}, "newly shared: /h/.config/gh"),
        ({"mounts": (WORK, GH, Mount("/h/.ssh", "/h/.ssh", False))}, "no longer shared: /h/.ssh"),
        ({"resources": Resources(cpus=8)}, "other resources"),
        ({"mounts": ()}, "newly shared: /w/web, /h/.config/gh"),
    ],
)
def test_a_change_says_what_it_changes(have: dict[str, object], why: str) -> None:
    actual = Instance(NAME, Status.STOPPED, Label(InstanceSpec(**{**OLD._asdict(), **have}), 0))
    change = plan_project(WANTED, actual, None)[0]
    assert str(change) == f"reconfigure p-web, keeping its disk ({why})"


def test_a_mount_that_becomes_writable_is_a_change() -> None:
    actual = instance(OLD._replace(mounts=(WORK._replace(writable=False), GH)), Status.RUNNING)
    assert disturbs(plan_project(WANTED, actual, None))


def test_an_instance_of_another_project_is_left_alone() -> None:
    with pytest.raises(Error, match="another project, /w/other"):
        plan_project(WANTED, instance(WANTED._replace(project="/w/other")), GOLDEN)


@pytest.mark.parametrize(
    "actual",
    [
        Instance(NAME, Status.RUNNING, None),
        Instance(NAME, Status.BROKEN, None),
        instance(WANTED._replace(prefix="q")),
        instance(BASE),
    ],
)
def test_a_foreign_instance_is_left_alone(actual: Instance) -> None:
    with pytest.raises(Error, match=r"is not an instance of agentvm with the prefix 'p'|is a base"):
        plan_project(WANTED, actual, GOLDEN)


CREATE = (Create(BASE), Start("p-base"))
FROM_GOLDEN = (Clone("p-base-g2", BASE._replace(generation=2)), Start("p-base"))
BASES: list[tuple[Instance | None, Plan]] = [
    (instance(BASE, Status.RUNNING), NONE),
    (instance(BASE, Status.STARTING), (Start("p-base"),)),
    (instance(BASE, Status.STOPPED), (Start("p-base"),)),
    (instance(BASE, Status.BROKEN), (Stop("p-base", True), Start("p-base"))),
]


@pytest.mark.parametrize(
    ("actual", "first"),
    [*BASES, (None, CREATE), (instance(BASE, Status.INCOMPLETE), (Delete("p-base"), *CREATE))],
)
def test_init_goes_on_from_wherever_it_was_killed(actual: Instance | None, first: Plan) -> None:
    rest = (Provision("p-base"), Seal("p-base"), Stop("p-base"), Clone("p-base", FIRST))
    assert plan_init(BASE, actual, None, FIRST) == first + rest


@pytest.mark.parametrize("actual", [None, *(base for base, _ in BASES)])
def test_init_does_nothing_when_there_is_a_golden(actual: Instance | None) -> None:
    assert plan_init(BASE, actual, GOLDEN, FIRST) == ()


@pytest.mark.parametrize(
    ("actual", "first"),
    [*BASES, (None, FROM_GOLDEN), (instance(BASE, Status.INCOMPLETE), (Delete("p-base"), *FROM_GOLDEN))],
)
def test_apply_and_shell(actual: Instance | None, first: Plan) -> None:
    assert plan_apply(BASE, actual, GOLDEN) == (*first, Provision("p-base"))
    assert plan_base_shell(BASE, actual, GOLDEN) == first


def test_apply_without_any_golden_begins_from_the_template() -> None:
    assert plan_apply(BASE, None, None) == (*CREATE, Provision("p-base"))


@pytest.mark.parametrize(("actual", "first"), BASES)
def test_a_snapshot_drops_the_older_ones_last(actual: Instance, first: Plan) -> None:
    stale = (instance(FIRST), Instance("p-base-g3", Status.INCOMPLETE, None))
    plan = plan_snapshot(BASE, actual, SECOND, stale)
    made = (Seal("p-base"), Stop("p-base"), Clone("p-base", SECOND))
    assert plan == (*first, *made, Delete("p-base-g1"), Delete("p-base-g3"))
    assert plan_snapshot(BASE, actual, SECOND, (*stale, instance(SECOND, Status.INCOMPLETE))) == plan


def test_half_goldens_are_told_by_name_and_state() -> None:
    names = ("p-base-g1", "p-base-g12", "p-base", "p-base-g1-12345678", "p-base-gx", "q-base-g1")
    halves = tuple(Instance(name, Status.INCOMPLETE, None) for name in names)
    others = (instance(FIRST), Instance("p-base-g4", Status.STOPPED, None))
    assert half_goldens_of((*halves, *others), "p") == halves[:2]


@pytest.mark.parametrize("actual", [None, instance(BASE, Status.INCOMPLETE)])
def test_no_snapshot_of_nothing(actual: Instance | None) -> None:
    with pytest.raises(Error, match="no base"):
        plan_snapshot(BASE, actual, FIRST, ())


REMOVALS: list[tuple[Status, Plan]] = [
    (Status.RUNNING, (Stop("p-base"), Delete("p-base"))),
    (Status.STARTING, (Stop("p-base", True), Delete("p-base"))),
    (Status.STOPPED, (Delete("p-base"),)),
    (Status.BROKEN, (Stop("p-base", True), Delete("p-base"))),
    (Status.INCOMPLETE, (Delete("p-base"),)),
]


@pytest.mark.parametrize(("status", "plan"), REMOVALS)
def test_remove_and_reset(status: Status, plan: Plan) -> None:
    assert plan_remove(instance(BASE, status)) == plan
    assert plan_reset(BASE, instance(BASE, status), GOLDEN) == (*plan, FROM_GOLDEN[0])


def test_reset_without_a_base_makes_it_again() -> None:
    assert plan_reset(BASE, None, GOLDEN) == FROM_GOLDEN[:1]


def test_no_reset_to_nothing() -> None:
    with pytest.raises(Error, match="no snapshot"):
        plan_reset(BASE, instance(BASE), None)


@pytest.mark.parametrize(
    ("status", "plan"),
    [
        (Status.RUNNING, (Stop(NAME),)),
        (Status.STARTING, (Stop(NAME, True),)),
        (Status.STOPPED, NONE),
        (Status.BROKEN, (Stop(NAME, True),)),
    ],
)
def test_stop(status: Status, plan: Plan) -> None:
    assert plan_stop(instance(WANTED, status)) == plan


@pytest.mark.parametrize(
    ("plan", "answer"),
    [
        (NONE, False),
        ((Clone("g", WANTED), Start(NAME)), False),
        ((Provision("p-base"),), False),
        ((Stop(NAME),), True),
        ((Delete(NAME),), True),
        ((Reconfigure(WANTED, ""), Start(NAME)), True),
    ],
)
def test_what_would_end_a_session(plan: Plan, answer: bool) -> None:
    assert disturbs(plan) is answer


@pytest.mark.parametrize("role", Role)
def test_roles_are_checked(role: Role) -> None:
    actual = instance(WANTED._replace(role=role))
    assert check_ours(actual, PREFIX) == actual.label
    assert check_ours(actual, PREFIX, role) == actual.label
    others = [other for other in Role if other is not role]
    with pytest.raises(UsageError, match=f"is a {role.value}"):
        check_ours(actual, PREFIX, *others)


def test_the_newest_golden_is_the_one_with_the_highest_number() -> None:
    tenth = FIRST._replace(name="p-base-g10", generation=10)
    instances = (
        instance(SECOND),
        instance(tenth),
        instance(FIRST),
        instance(WANTED._replace(generation=11)),
        instance(FIRST._replace(name="q-base-g12", prefix="q", generation=12)),
        instance(FIRST._replace(name="p-base-g13", generation=13), Status.INCOMPLETE),
        Instance("p-base-g14", Status.STOPPED, None),
    )
    assert [golden.name for golden in goldens_of(instances, PREFIX)] == ["p-base-g1", "p-base-g2", "p-base-g10"]
    assert newest_golden(instances, PREFIX) == instance(tenth)
    assert newest_golden(instances, "r") is None


def test_actions_read_as_sentences() -> None:
    actions: Plan = (
        Create(BASE),
        Clone("p-base", FIRST),
        Start(NAME),
        Stop(NAME),
        Stop(NAME, force=True),
        Delete(NAME),
        Provision("p-base"),
        Seal("p-base"),
    )
    assert [str(action) for action in actions] == [
        "create p-base from the base template",
        "clone p-base to p-base-g1",
        "start p-web",
        "stop p-web",
        "stop p-web by force",
        "delete p-web",
        "provision p-base from the manifest",
        "empty the machine id of p-base",
    ]


# --- A VM moves --------------------------------------------------------------------------------------------------------

NEXT = "p-web-next"
DRAFT = InstanceSpec(NEXT, PREFIX, Role.DRAFT, "/w/web", generation=2)
HEIR = DRAFT._replace(role=Role.PROJECT)
MOVED = InstanceSpec("p-old", PREFIX, Role.PROJECT, "/w/old", generation=1, mounts=(WORK,))


def test_an_heir_takes_the_place_and_is_a_draft_before_it_goes() -> None:
    plan = plan_project(WANTED, None, None, instance(HEIR))
    assert plan == (
        Clone(NEXT, HEIR._replace(name=NAME)),
        Reconfigure(DRAFT, "it is not needed any more"),
        Delete(NEXT),
        Reconfigure(MADE, f"newly shared: {WORK.point}, {GH.point}"),
        Start(NAME),
    )
    assert plan_project(WANTED, None, None, instance(HEIR, Status.RUNNING))[0] == Stop(NEXT)


@pytest.mark.parametrize("status", [Status.STOPPED, Status.RUNNING])
def test_a_draft_in_the_projects_place_is_nothing(status: Status) -> None:
    draft = instance(OLD._replace(role=Role.DRAFT), status)
    assert not is_whole(draft)
    gone = plan_remove(draft)
    assert plan_project(WANTED, draft, GOLDEN) == (*gone, *plan_project(WANTED, None, GOLDEN))


def test_rebase_gives_up_the_old_vm_only_when_the_new_one_is_whole() -> None:
    plan = plan_rebase(WANTED, instance(OLD, Status.RUNNING), GOLDEN, ())
    assert plan[:5] == (Clone("p-base-g2", DRAFT), Start(NEXT), CopyHome(NAME, NEXT), Stop(NEXT), Stop(NAME))
    assert plan[5:9] == (
        Reconfigure(HEIR, "it has the home directory now"),
        Reconfigure(OLD._replace(role=Role.DRAFT, mounts=()), "it is not needed any more"),
        Delete(NAME),
        Clone(NEXT, HEIR._replace(name=NAME)),
    )
    assert plan[9:] == plan_project(WANTED, None, None, instance(HEIR))[1:-1]


def test_rebase_starts_a_stopped_vm_and_force_ends_a_running_one_first() -> None:
    assert plan_rebase(WANTED, instance(OLD), GOLDEN, ())[2] == Start(NAME)
    assert plan_rebase(WANTED, instance(OLD, Status.RUNNING), GOLDEN, (), force=True)[2:4] == (Stop(NAME), Start(NAME))


def test_rebase_shows_the_copy_nothing_of_the_host() -> None:
    clone = plan_rebase(WANTED, instance(OLD), GOLDEN, ())[0]
    assert isinstance(clone, Clone)
    assert clone.spec.mounts == ()


def test_rebase_removes_what_an_earlier_one_left() -> None:
    left = (instance(DRAFT, Status.RUNNING), instance(DRAFT._replace(name="p-web-other"), Status.INCOMPLETE))
    assert plan_rebase(WANTED, instance(OLD), GOLDEN, left)[:3] == (Stop(NEXT), Delete(NEXT), Delete("p-web-other"))


def test_adopt_labels_first_and_goes_on_from_there() -> None:
    mark = MOVED._replace(project="/w/web", mounts=())
    plan = plan_adopt(instance(MOVED, Status.RUNNING), WANTED, None)
    assert plan[:3] == (
        Stop("p-old"),
        Reconfigure(mark, "it goes to /w/web"),
        Clone("p-old", mark._replace(name=NAME)),
    )
    assert not any(isinstance(action, Start) for action in plan)
    assert plan_adopt(instance(mark), WANTED, None) == plan[2:]
    assert plan_adopt(instance(mark), WANTED, instance(WANTED, Status.INCOMPLETE)) == (Delete(NAME), *plan[2:])


def test_an_heir_is_whole_and_has_not_its_projects_name() -> None:
    named = instance(WANTED._replace(name=instance_name(PREFIX, "/w/web")))
    assert has_own_name(named)
    assert heir_of((named, instance(DRAFT)), PREFIX, "/w/web") is None
    assert heir_of((named, instance(HEIR)), PREFIX, "/w/web") == instance(HEIR)
    assert heir_of((instance(HEIR),), "q", "/w/web") is None
    assert heir_of((instance(BASE),), PREFIX, "") is None
