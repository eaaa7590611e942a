"""The tripwire around a session: a look before it and one after it, each compared with what is known.

What lies in the project is known by the project's instance; what all projects share (the agents' directories, the git
directory of a linked work tree) is known once, so that a change there is reported once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from agentvm.context import Context
from agentvm.errors import Error
from agentvm.model import Mount
from agentvm.paths import find_real, is_below
from agentvm.project import Project, instance_name
from agentvm.sharing import CLAUDE, CODEX, GH, OPENCODE, SSH, Sharing, config_directory, login_directory
from agentvm.tripwire.directories import MOST_FOUND, Walk
from agentvm.tripwire.ledger import Change, Ledger, Outcome, Page, compare
from agentvm.tripwire.memory import Memory
from agentvm.tripwire.places import Area, Root
from agentvm.tripwire.snapshot import Snapshot, take
from agentvm.values import NamedTuple

_SHARED = "shared"
"""No instance's name: those have a dash."""
_MOST_REPORTED = 12
SINCE = "Since the last session, something changed that this computer runs:"
DURING = "While this session ran, something changed that this computer runs:"
_NEXT = (
    "`agentvm review` shows all of it, with --restore it puts back what was there, with --accept it takes it as known."
)


class Watched(NamedTuple):
    """Roots whose ledger is one, and its name."""

    name: str
    roots: tuple[Root, ...]


class Look(NamedTuple):
    """What a look at the roots of one ledger found."""

    ledger: Ledger
    snapshots: dict[str, Snapshot]
    outcomes: tuple[Outcome, ...]
    first: bool
    """Nothing was known before."""

    @property
    def news(self) -> tuple[Change, ...]:
        return tuple(change for outcome in self.outcomes for change in outcome.news)

    @property
    def pending(self) -> tuple[Change, ...]:
        return tuple(change for outcome in self.outcomes for change in outcome.pending)


def find_roots(context: Context, project: Project, sharing: Sharing) -> tuple[Watched, ...]:
    """What a guest of the project can write, by what is mounted."""
    host = context.host
    own = (Root(project.root, Area.TREE),)
    shared = (
        *((Root(project.git_directory, Area.GIT_DIRECTORY),) if project.git_directory else ()),
        Root(config_directory(host, CLAUDE), Area.CLAUDE),
        Root(config_directory(host, CODEX), Area.CODEX),
        Root(config_directory(host, OPENCODE), Area.OPENCODE),
        Root(login_directory(host), Area.OPENCODE_LOGIN),
        Root(config_directory(host, GH), Area.GH),
        Root(config_directory(host, SSH), Area.SSH),
        *(Root(mount.path, Area.TREE) for mount in context.settings.mounts if mount.writable),
    )
    real = (root._replace(path=find_real(root.path)) for root in shared)
    visible = (root for root in real if root.path != project.root and _is_mounted(root.path, sharing.mounts))
    name = instance_name(context.prefix, project.root)
    return Watched(name, own), Watched(_SHARED, tuple(dict.fromkeys(visible)))


def _is_mounted(path: str, mounts: Iterable[Mount]) -> bool:
    return any(is_below(path, mount.location) for mount in mounts)


@contextmanager
def watched(context: Context, project: Project, sharing: Sharing) -> Iterator[None]:
    """Tell before and after a session what changed that the host executes. Its trouble is told, and keeps nobody from work."""
    if not context.settings.tripwire:
        yield
        return
    roots = find_roots(context, project, sharing)
    _tell(context, project, roots, SINCE, remind=True)
    try:
        yield
    finally:
        _tell(context, project, roots, DURING, remind=False)


def _tell(context: Context, project: Project, roots: tuple[Watched, ...], title: str, *, remind: bool) -> None:
    try:
        looks = [look_again(context, watched) for watched in roots]
    except (Error, OSError) as problem:
        context.console.fail(f"what this computer runs could not be compared with what it was: {problem}")
        return
    news = [change for look in looks for change in look.news]
    pending = sum(len(look.pending) for look in looks)
    if news:
        context.console.fail("\n".join(report(title, news, project.root, context.host.home)))
    elif pending and remind:
        context.console.say(f"changes of what this computer runs, not accepted yet: {pending}; see `agentvm review`")


def report(title: str, news: list[Change], project: str, home: str) -> Iterator[str]:
    from agentvm.tripwire.difference import SHORT, show

    yield title
    for change in news[:_MOST_REPORTED]:
        yield from (f"  {line}" for line in show(change, project, home, SHORT))
    if len(news) > _MOST_REPORTED:
        yield f"  … and {len(news) - _MOST_REPORTED} more places"
    yield _NEXT


def look_again(context: Context, watched: Watched) -> Look:
    """Look, compare and remember, so that nobody else tells the same."""
    with remembering(context, watched) as memory:
        return look(memory, watched)


@contextmanager
def remembering(context: Context, watched: Watched) -> Iterator[Memory]:
    with context.state.hold_memory(watched.name) as directory:
        yield Memory(directory, writes=not context.dry_run)


def look(memory: Memory, watched: Watched, walks: Mapping[str, Walk] = MappingProxyType({})) -> Look:
    """One look at all roots of a ledger. `walks` are what a review found in trees, by their paths."""
    ledger, snapshots, outcomes = dict(memory.ledger), {}, []
    for root in watched.roots:
        page = ledger.get(root.path)
        repositories = _repositories(page, walks.get(root.path))
        known = {path: row.place for path, row in page.rows.items()} if page else {}
        snapshots[root.path] = snapshot = take(root, known, repositories)
        outcome = compare(root, page, snapshot, memory.form)
        ledger[root.path] = outcome.page._replace(repositories=repositories)
        outcomes.append(outcome)
    first = not memory.ledger
    memory.save(ledger, snapshots.values())
    memory.ledger = ledger
    return Look(ledger, snapshots, tuple(outcomes), first)


def _repositories(page: Page | None, walk: Walk | None) -> tuple[str, ...]:
    """Those of an earlier walk stay where a new one didn't come."""
    earlier = page.repositories if page and not (walk and walk.whole) else ()
    return tuple(dict.fromkeys((*(walk.found if walk else ()), *earlier)))[:MOST_FOUND]
