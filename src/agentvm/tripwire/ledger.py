"""What is known of the places, and what became of that: pure comparison, and its form on disk.

A row has three marks. `known` is what the user has accepted, or what was there before anything could be noticed; its
content is kept, so that it can be put back. `seen` is what the last look found. `told` is a digest of what was reported
and is not accepted yet; it is empty when there is nothing of that kind. So each change is reported once, by whichever
session looks first after it, and can be reviewed for as long as nobody accepted it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from agentvm.digest import sha256
from agentvm.jsontext import load_json
from agentvm.tripwire.places import TABLE, Kind, Place, Root
from agentvm.tripwire.snapshot import Form, Snapshot
from agentvm.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

Lines = tuple[str, ...]
"""What is executed of a place: two contents are the same when these are."""
SCHEMA = 1
ABSENT = ""
"""The mark of what isn't there."""


_NOWHERE = Place("", "")


class Row(NamedTuple):
    """One place by its name."""

    place: Place
    known: str
    seen: str
    told: str = ""


class Page(NamedTuple):
    """What is known of one root."""

    covered: frozenset[str] = frozenset()
    """Patterns that were looked at before: what is found at another one was there before anybody looked."""
    repositories: tuple[str, ...] = ()
    """Git directories that a review found deeper in the tree."""
    rows: Mapping[str, Row] = MappingProxyType({})


Ledger = dict[str, Page]
"""A page for each root, by its path."""


class Change(NamedTuple):
    """What is executed now, and what was; `place` says by what."""

    root: Root
    path: str
    place: Place
    before: Lines
    after: Lines
    known: str
    """The mark of what it was."""

    @property
    def absolute(self) -> str:
        return f"{self.root.path}/{self.path}".rstrip("/")


class Outcome(NamedTuple):
    """`news` is what nobody was told yet, `pending` all that is not accepted, the news included."""

    page: Page
    news: tuple[Change, ...]
    pending: tuple[Change, ...]


def compare(root: Root, page: Page | None, snapshot: Snapshot, known: Callable[[str], Form | None]) -> Outcome:
    """What became of a root's places; without a page, all is as it shall be. `known` has the forms for marks."""
    first, page = page is None, page or Page()
    patterns = frozenset(place.pattern for place in TABLE[root.area])
    rows, news, pending = {}, [], []
    for path in sorted(page.rows.keys() | snapshot.keys()):
        row, seen = page.rows.get(path), snapshot.get(path)
        mark = seen.form.mark if seen else ABSENT
        if row is None and seen and (first or _is_uncovered(seen.place, patterns, page.covered)):
            rows[path] = Row(seen.place, mark, mark)
            continue
        row = (row or Row(_NOWHERE, ABSENT, ABSENT))._replace(place=seen.place if seen else page.rows[path].place)
        if mark == row.seen and not row.told:
            rows[path] = row
            continue
        before, after = (_lines(row.place, path, form) for form in (known(row.known), seen and seen.form))
        change = Change(root, path, row.place, before, after, row.known)
        rows[path] = noted = _noted(row, mark, change)
        if noted.told:
            pending.append(change)
            if noted.told != row.told:
                news.append(change)
    page = Page(page.covered | patterns, page.repositories, _without_empty(rows))
    return Outcome(page, tuple(news), tuple(pending))


def _noted(row: Row, mark: str, change: Change) -> Row:
    """What executes the same is known from now on: then what is put back later is as new as can be."""
    if change.before == change.after:
        return row._replace(known=mark, seen=mark, told="")
    return row._replace(seen=mark, told=digest(change.after))


def accept(page: Page, paths: Iterable[str]) -> Page:
    """Take what was seen at these places as known."""
    taken = {path: page.rows[path]._replace(known=page.rows[path].seen, told="") for path in paths}
    return page._replace(rows=_without_empty({**page.rows, **taken}))


def _without_empty(rows: Mapping[str, Row]) -> dict[str, Row]:
    """Without those that neither were there nor are."""
    return {path: row for path, row in rows.items() if row.known or row.seen}


def digest(lines: Lines) -> str:
    return sha256("\n".join(lines).encode(errors="surrogateescape"))[:32]


def _is_uncovered(place: Place, patterns: frozenset[str], covered: frozenset[str]) -> bool:
    """Whether the place came with a newer table. One that git's settings or a link led to is never taken unseen."""
    return place.pattern in patterns and place.pattern not in covered


def _lines(place: Place, path: str, form: Form | None) -> Lines:
    if form is None:
        return ()
    if form.name == "link":
        return (f"a link to {form.content.decode(errors='surrogateescape')}",)
    if form.name != "file":
        return (form.content.decode(errors="surrogateescape"),)
    # Only a change needs it: its patterns take as long as all the rest.
    from agentvm.tripwire.runnable import runnable

    lines = runnable(place.kind, path, form.content)
    executable = place.kind is Kind.WHOLE and form.mode & 0o111
    return (*lines, "(may be executed)") if executable and lines else lines


def dump_ledger(ledger: Ledger) -> bytes:
    import json

    pages = {
        path: {
            "covered": sorted(page.covered),
            "repositories": page.repositories,
            "rows": {name: _dump(row) for name, row in page.rows.items()},
        }
        for path, page in ledger.items()
    }
    return json.dumps({"schema": SCHEMA, "roots": pages}, ensure_ascii=True).encode() + b"\n"


def _dump(row: Row) -> list[str]:
    return [row.place.pattern, row.place.runner, row.place.kind.value, row.known, row.seen, row.told]


def load_ledger(content: bytes) -> Ledger | None:
    """None for what a version that we don't know wrote, or nobody."""
    try:
        fields = load_json(content)
        if fields["schema"] != SCHEMA:
            return None
        return {path: _load(page) for path, page in fields["roots"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _load(page: dict[str, Any]) -> Page:
    kinds = {kind.value: kind for kind in Kind}
    rows = {
        path: Row(Place(pattern, runner, kinds[kind]), known, seen, told)
        for path, (pattern, runner, kind, known, seen, told) in page["rows"].items()
    }
    return Page(frozenset(page["covered"]), tuple(page["repositories"]), rows)
