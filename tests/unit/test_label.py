from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentvm.label import SCHEMA, carried_prefix, dump_label, load_label, newer_version
from agentvm.model import InstanceSpec, Label, Mount, Resources, Role

LABEL = Label(
    InstanceSpec(
        "agentvm-web-12345678",
        "agentvm",
        Role.PROJECT,
        "/w/web",
        3,
        (Mount("/w/web", "/w/web", True), Mount("/home/x/.config/gh", "/home/x/.config/gh", False)),
        Resources(2, 2**31, 2**33),
    ),
    1_700_000_000,
    Resources(4, 2**32, 2**36),
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\udc80\udcff"))
COUNTS = st.integers(0, 2**60)
RESOURCES = st.builds(Resources, COUNTS, COUNTS, COUNTS)
LABELS = st.builds(
    Label,
    st.builds(
        InstanceSpec,
        TEXT,
        TEXT,
        st.sampled_from(tuple(Role)),
        TEXT,
        COUNTS,
        st.lists(st.builds(Mount, TEXT, TEXT, st.booleans()), max_size=5).map(tuple),
        RESOURCES,
    ),
    COUNTS,
    RESOURCES,
)


@given(LABELS)
def test_what_was_written_is_read(label: Label) -> None:
    assert load_label(dump_label(label), label.spec.name) == label


def test_a_clone_that_carries_its_sources_label_has_none() -> None:
    assert load_label(dump_label(LABEL), "agentvm-other-12345678") is None


def fields(**changes: Any) -> bytes:
    return json.dumps(json.loads(dump_label(LABEL)) | changes).encode()


def test_an_unknown_field_is_no_damage() -> None:
    assert load_label(fields(later="x"), LABEL.spec.name) == LABEL


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"{",
        dump_label(LABEL)[:-10],
        b"null",
        b"[]",
        b'"agentvm"',
        b"7",
        b"{}",
        b"[" * 100_000,
        b'{"tool":' * 50_000,
        b"9" * 10_000,
        fields(tool="other"),
        fields(schema=SCHEMA + 1),
        fields(schema=str(SCHEMA)),
        fields(name="another"),
        fields(role="king"),
        fields(role=None),
        fields(mounts=None),
        fields(mounts=[{}]),
        fields(mounts=["/work"]),
        fields(generation="first"),
        fields(generation=None),
        fields(created="today"),
        fields(created=float("inf")),
        fields(created=float("nan")),
        fields(native={"cpus": 1}),
        fields(resources=[1, 2, 3]),
        fields(resources={"cpus": 1e999, "memory": 0, "disk": 0}),
    ],
    ids=lambda content: repr(content[-20:]),
)
def test_a_damaged_label_is_none(content: bytes) -> None:
    assert load_label(content, LABEL.spec.name) is None


@pytest.mark.parametrize("value", [1, "true", "yes", None])
def test_only_true_makes_a_mount_writable(value: object) -> None:
    mounts = [{"location": "/a", "point": "/b", "writable": value}]
    label = load_label(fields(mounts=mounts), LABEL.spec.name)
    assert label
    assert label.spec.mounts == (Mount("/a", "/b", False),)


def as_first_schema() -> bytes:
    """What agentvm wrote before labels said which version wrote them."""
    written = json.loads(dump_label(LABEL)) | {"schema": 1}
    del written["version"]
    return json.dumps(written).encode()


def test_an_older_schema_is_brought_up_to_date() -> None:
    assert load_label(as_first_schema(), LABEL.spec.name) == LABEL
    assert carried_prefix(as_first_schema()) == LABEL.spec.prefix
    assert newer_version(as_first_schema()) == ""


@pytest.mark.parametrize("schema", [0, -1, True, 1.0, "1", None, [1]])
def test_a_schema_that_there_never_was_is_none(schema: object) -> None:
    assert load_label(fields(schema=schema), LABEL.spec.name) is None
    assert newer_version(fields(schema=schema)) == ""


def test_a_later_schema_is_no_label_and_tells_who_wrote_it() -> None:
    later = fields(schema=SCHEMA + 1, version="9.1.0", mounts={"new": "form"})
    assert load_label(later, LABEL.spec.name) is None
    assert carried_prefix(later) == ""
    assert newer_version(later) == "9.1.0"
    assert newer_version(fields(schema=SCHEMA + 1, version=None)) == "of a later version"


@pytest.mark.parametrize(
    "content", [b"", b"null", b"[]", b"{}", b"[" * 100_000, fields(), fields(tool="other", schema=SCHEMA + 1)]
)
def test_whatever_else_is_of_no_newer_agentvm(content: bytes) -> None:
    assert newer_version(content) == ""
