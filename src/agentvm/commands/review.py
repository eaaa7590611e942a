"""`agentvm review`: what changed that the host executes, and putting it back or taking it as known."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import ExitStack
from typing import NamedTuple

from agentvm.commands.arguments import parse
from agentvm.commands.columns import screen_width
from agentvm.commands.schemas import SCHEMA
from agentvm.commands.target import current_project
from agentvm.console import folded
from agentvm.context import Context
from agentvm.errors import UsageError
from agentvm.paths import is_below
from agentvm.project import Project
from agentvm.sharing import plan_sharing
from agentvm.tripwire.difference import LONG, name_of, show, visible
from agentvm.tripwire.directories import Walk, walk
from agentvm.tripwire.ledger import Change, accept
from agentvm.tripwire.memory import Memory
from agentvm.tripwire.places import Area
from agentvm.tripwire.restoring import put_back, reason_against
from agentvm.tripwire.snapshot import Form
from agentvm.tripwire.watch import Look, Watched, find_roots, look, remembering

_PATIENCE = 3.0
"""Seconds for looking for git directories in the whole tree."""

_AGAIN = """\
this is not what it was, though it was put back or should have been. If something in the VM changes it again and again:
`agentvm stop`, then `agentvm review --restore`."""


class _Book(NamedTuple):
    """An open ledger, what a look found just now, and the changes in it that the command is about."""

    memory: Memory
    watched: Watched
    look: Look
    chosen: tuple[Change, ...] = ()


class _Desk(NamedTuple):
    """What the command works with."""

    context: Context
    project: Project
    books: tuple[_Book, ...]
    walks: dict[str, Walk]

    @property
    def chosen(self) -> tuple[Change, ...]:
        return tuple(change for book in self.books for change in book.chosen)

    def name(self, change: Change) -> str:
        return visible(name_of(change, self.project.root, self.context.host.home), LONG)

    def lines(self, change: Change) -> tuple[str, ...]:
        return tuple(show(change, self.project.root, self.context.host.home, LONG))


def review(context: Context, arguments: tuple[str, ...]) -> int:
    """Exit status 0 when nothing is left that is not accepted, of what was asked for; 1 when there is."""
    options = parse("review", arguments)
    if options.restore + options.accept + options.json > 1:
        raise UsageError("--restore, --accept and --json exclude each other.", "Choose one.")
    project = current_project(context)
    sharing = plan_sharing(context.host, context.settings, project)
    watched = find_roots(context, project, sharing)
    walks = _walk(watched)
    with ExitStack() as held:
        books = [_open(held, context, roots, walks) for roots in watched]
        desk = _Desk(context, project, _choose(context, books, options.paths), walks)
        _tell_others(desk, [change for book in books for change in book.look.news])
        if options.restore:
            return _restore(desk)
        if options.accept:
            return _accept(desk)
        return _show_json(desk) if options.json else _show(desk)


def _walk(watched: tuple[Watched, ...]) -> dict[str, Walk]:
    """Before any lock is held: sessions that begin or end shall not wait for it."""
    trees = (root for roots in watched for root in roots.roots if root.area is Area.TREE)
    return {root.path: walk(root.path, _PATIENCE) for root in trees}


def _open(held: ExitStack, context: Context, watched: Watched, walks: dict[str, Walk]) -> _Book:
    memory = held.enter_context(remembering(context, watched))
    if not memory.ledger:
        return _Book(memory, watched, Look({}, {}, (), True))
    return _Book(memory, watched, look(memory, watched, walks))


def _choose(context: Context, books: list[_Book], paths: tuple[str, ...]) -> tuple[_Book, ...]:
    """With the changes at or below the given paths; all without any. Raises UsageError for a path without one."""
    wanted = [os.path.normpath(os.path.join(context.host.directory, path)) for path in paths]
    for path in wanted:
        if not any(is_below(change.absolute, path) for book in books for change in book.look.pending):
            raise UsageError(f"Nothing changed at {path}.", "`agentvm review` shows what did.")

    def is_wanted(change: Change) -> bool:
        return not wanted or any(is_below(change.absolute, path) for path in wanted)

    return tuple(book._replace(chosen=tuple(filter(is_wanted, book.look.pending))) for book in books)


def _show(desk: _Desk) -> int:
    console, changes = desk.context.console, desk.chosen
    for root in (root for root, walked in desk.walks.items() if not walked.whole):
        console.say(f"{root} could not be searched whole: git directories deep in it may be missed")
    if desk.books[0].look.first:
        console.say("no session ran here with AGENTVM_TRIPWIRE on, so there is nothing to compare with yet")
    elif not changes:
        console.say("nothing changed of what this computer runs")
    if changes:
        width = screen_width(desk.context)
        lines = [line for change in changes for line in desk.lines(change)]
        console.product("\n".join(folded(line, width) for line in lines) if width else "\n".join(lines))
        console.say(
            "`agentvm review --restore` puts back what was there, `--accept` takes it as known; both take paths"
        )
    return 1 if changes else 0


def _show_json(desk: _Desk) -> int:
    entries = [
        {"path": change.absolute, "run_by": change.place.runner, "before": change.before, "after": change.after}
        for change in desk.chosen
    ]
    desk.context.console.product(
        json.dumps({"schema": SCHEMA, "project": desk.project.root, "changes": entries}, indent=2)
    )
    return 1 if entries else 0


def _accept(desk: _Desk) -> int:
    """Only what was told before: what came since then nobody has seen."""
    console, fresh = desk.context.console, {change.absolute for book in desk.books for change in book.look.news}
    for book in desk.books:
        _take_as_known(book, tuple(change for change in book.chosen if change.absolute not in fresh))
    left = tuple(change for change in desk.chosen if change.absolute in fresh)
    for change in left:
        console.fail("\n".join(("new since it was last shown, so it is not accepted yet:", *desk.lines(change))))
    for change in desk.chosen:
        if change not in left:
            console.say(f"{desk.name(change)} {'would be' if desk.context.dry_run else 'is'} known from now on")
    return 1 if left else 0


def _take_as_known(book: _Book, changes: tuple[Change, ...]) -> None:
    ledger = dict(book.memory.ledger)
    for change in changes:
        ledger[change.root.path] = accept(ledger[change.root.path], [change.path])
    book.memory.save(ledger, book.look.snapshots.values())
    book.memory.ledger = ledger


def _restore(desk: _Desk) -> int:
    """Parents first: a link in the way goes before what was behind it comes."""
    left = sum(not _restore_one(desk, book, change) for book in desk.books for change in book.chosen)
    if desk.context.dry_run:
        return 1 if left else 0
    for book in desk.books:
        again, chosen = look(book.memory, book.watched), {change.absolute for change in book.chosen}
        _tell_others(desk, again.news)
        for change in (change for change in again.pending if change.absolute in chosen):
            desk.context.console.fail("\n".join((_AGAIN, *desk.lines(change))))
            left += 1
    return 1 if left else 0


def _tell_others(desk: _Desk, news: Iterable[Change]) -> None:
    """What a look found that the command is not about: it counts as told from now on, so it has to be."""
    chosen = {change.absolute for change in desk.chosen}
    for change in (change for change in news if change.absolute not in chosen):
        desk.context.console.fail("\n".join(("this is new, too:", *desk.lines(change))))


def _restore_one(desk: _Desk, book: _Book, change: Change) -> bool:
    console, name = desk.context.console, desk.name(change)
    known, seen = book.memory.form(change.known), book.look.snapshots[change.root.path].get(change.path)
    if change.known and known is None:
        console.fail(f"{name} can't be put back: what was known of it was not kept.")
        return False
    if reason := reason_against(known, seen.form if seen else None):
        console.fail(f"{name} can't be put back: {reason}.")
        return False
    if desk.context.dry_run:
        console.say(f"would put back {name}")
        return True
    kept = _keep(book, change, seen.form if seen else None)
    try:
        put_back(change.root.path, change.path, known)
    except OSError as problem:
        console.fail(f"{name} can't be put back: {problem.strerror}.")
        return False
    console.say(f"put back {name}" + (f"; what was there instead is in {kept}" if kept else ""))
    return True


def _keep(book: _Book, change: Change, form: Form | None) -> str:
    return book.memory.set_aside(change.path, form.content) if form and form.name in ("file", "link") else ""
