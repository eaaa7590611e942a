"""What is news, what stays to be reviewed, and what is known."""

from __future__ import annotations

import pytest

from agentvm.tripwire.ledger import Outcome, Page, accept, compare, dump_ledger, load_ledger
from agentvm.tripwire.places import TABLE, Area, Kind, Place, Root
from agentvm.tripwire.snapshot import Form, Seen, Snapshot

ROOT = Root("/p", Area.TREE)
CONFIG = next(place for place in TABLE[Area.TREE] if place.pattern == ".git/config")
ENVRC = next(place for place in TABLE[Area.TREE] if place.pattern == ".envrc")
PLAIN, EVIL, WORSE = "[user]\nname=A", "[core]\nfsmonitor=evil", "[core]\nfsmonitor=worse"


class Story:
    """Looks one after the other; each says what is there."""

    def __init__(self) -> None:
        self.page: Page | None = None
        self.forms: dict[str, Form] = {}

    def look(self, *, place: Place = CONFIG, **there: str) -> Outcome:
        snapshot: Snapshot = {path: Seen(place, Form("file", 0o644, text.encode())) for path, text in there.items()}
        outcome = compare(ROOT, self.page, snapshot, self.forms.get)
        self.page = outcome.page
        self.forms |= {seen.form.mark: seen.form for seen in snapshot.values()}
        return outcome

    def known(self, path: str) -> bytes:
        assert self.page
        return self.forms[self.page.rows[path].known].content


@pytest.fixture
def story() -> Story:
    story = Story()
    assert story.look(config=PLAIN).news == ()
    return story


def nothing(mark: str) -> None:
    """Has the content of no mark."""


def told(outcome: Outcome) -> tuple[list[str], list[str]]:
    return [change.path for change in outcome.news], [change.path for change in outcome.pending]


def test_what_is_there_at_first_is_known() -> None:
    assert told(Story().look(config=EVIL)) == ([], [])


def test_a_change_is_told_once_and_stays_to_be_reviewed(story: Story) -> None:
    assert told(story.look(config=EVIL)) == (["config"], ["config"])
    assert told(story.look(config=EVIL)) == ([], ["config"])
    assert told(story.look(config=EVIL + "\n# and a comment")) == ([], ["config"])
    assert story.known("config") == PLAIN.encode()


def test_another_change_is_told_against_what_is_known(story: Story) -> None:
    story.look(config=EVIL)
    (change,) = story.look(config=WORSE).news
    assert (change.before, change.after) == ((), ("core.fsmonitor = worse",))


def test_what_is_again_as_it_was_is_no_matter_any_more(story: Story) -> None:
    story.look(config=EVIL)
    assert told(story.look(config=PLAIN)) == ([], [])
    assert told(story.look(config=EVIL)) == (["config"], ["config"]), "and can be told again"


def test_what_executes_nothing_is_taken_as_known(story: Story) -> None:
    later = PLAIN + '\n[remote "origin"]\nurl=x'
    assert told(story.look(config=later)) == ([], [])
    story.look(config=EVIL)
    assert story.known("config") == later.encode(), "so that nothing is lost when it is put back"


def test_a_new_and_a_vanished_file(story: Story) -> None:
    assert told(story.look(config=PLAIN, envrc=EVIL)) == (["envrc"], ["envrc"])
    story.look(config=EVIL)
    assert story.page
    story.page = accept(story.page, ["config"])
    (change,) = story.look().news
    assert (change.path, change.before, change.after) == ("config", ("core.fsmonitor = evil",), ())


def test_a_new_file_that_executes_nothing(story: Story) -> None:
    assert told(story.look(config=PLAIN, other=PLAIN)) == ([], [])


def test_what_is_accepted_is_known(story: Story) -> None:
    story.look(config=EVIL)
    assert story.page
    story.page = accept(story.page, ["config"])
    assert told(story.look(config=EVIL)) == ([], [])
    assert story.known("config") == EVIL.encode()
    assert told(story.look(config=PLAIN)) == (["config"], ["config"])


def test_one_of_two_is_accepted(story: Story) -> None:
    story.look(config=PLAIN, one=EVIL, two=EVIL)
    assert story.page
    story.page = accept(story.page, ["one"])
    assert told(story.look(config=PLAIN, one=EVIL, two=EVIL)) == ([], ["two"])


def test_places_of_a_newer_table_are_known_as_they_are(story: Story) -> None:
    assert story.page
    story.page = story.page._replace(covered=story.page.covered - {ENVRC.pattern})
    assert told(story.look(place=ENVRC, config=PLAIN, envrc="a")) == ([], [])
    assert told(story.look(place=ENVRC, config=PLAIN, envrc="b")) == (["envrc"], ["envrc"])


def test_places_that_a_setting_led_to_are_never_taken_unseen(story: Story) -> None:
    led = Place("tools/hook", "git")
    assert told(story.look(place=led, config=PLAIN, hook="evil")) == (["hook"], ["hook"])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Form("file", 0o644, b"x"), Form("file", 0o755, b"x")),
        (Form("file", 0o644, b"x"), Form("link", 0, b"/x")),
        (Form("link", 0, b"/x"), Form("link", 0, b"/y")),
        (Form("large", 0, b"9 bytes"), Form("large", 0, b"10 bytes")),
        (Form("file", 0o644, b"x"), Form("unreadable", 0, b"no")),
    ],
)
def test_other_changes_count_too(before: Form, after: Form) -> None:
    first = compare(ROOT, None, {"a": Seen(ENVRC, before)}, nothing)
    second = compare(ROOT, first.page, {"a": Seen(ENVRC, after)}, lambda mark: before if mark else None)
    assert told(second) == (["a"], ["a"])


def test_the_form_on_disk() -> None:
    name = "a\udcff\n\x1b"
    seen: Snapshot = {name: Seen(CONFIG, Form("file", 0o644, EVIL.encode()))}
    first = compare(ROOT, None, seen, nothing)
    page = compare(ROOT, first.page, {}, lambda mark: seen[name].form).page
    ledger = {"/p\udcff": page._replace(repositories=("x/",))}
    assert load_ledger(dump_ledger(ledger)) == ledger


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"schema": 2}', b'{"schema": 1, "roots": {"/p": []}}'])
def test_another_form_is_none(content: bytes) -> None:
    assert load_ledger(content) is None


def test_every_kind_is_written() -> None:
    rows: Snapshot = {kind.value: Seen(Place(kind.value, "x", kind), Form("file", 0, b"")) for kind in Kind}
    page = compare(ROOT, None, rows, nothing).page
    assert load_ledger(dump_ledger({"/p": page})) == {"/p": page}
