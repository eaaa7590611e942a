"""Our own NamedTuple and Enum behave as the originals do, in all that agentvm asks of them."""

from __future__ import annotations

import copy
import enum
import pickle
import typing
from collections.abc import Callable

import pytest

from agentvm import values


class Theirs(typing.NamedTuple):
    name: str
    size: int = 2
    words: tuple[str, ...] = ()

    @property
    def double(self) -> int:
        return 2 * self.size


class Ours(values.NamedTuple):
    name: str
    size: int = 2
    words: tuple[str, ...] = ()

    @property
    def double(self) -> int:
        return 2 * self.size


class Old(enum.Enum):
    ONE = "one"
    TWO = "the second"


class New(values.Enum):
    ONE = "one"
    TWO = "the second"


Tuple = type[Theirs] | type[Ours]
Choice = type[Old] | type[New]


@pytest.mark.parametrize(
    "use",
    [
        lambda kind: kind("a"),
        lambda kind: kind("a", 1, ("b",)),
        lambda kind: kind("a", words=("b",)),
        lambda kind: kind(size=1, name="a"),
        lambda kind: kind("a")._replace(size=5),
        lambda kind: kind("a").double,
        lambda kind: kind("a")._asdict(),
        lambda kind: list(kind("a")),
        lambda kind: [*map(len, kind._fields)],
        lambda kind: kind._field_defaults,
        lambda kind: kind("a") == ("a", 2, ()),
        lambda kind: kind("a") < kind("b"),
        lambda kind: {kind("a"): 1}[("a", 2, ())],
        lambda kind: copy.deepcopy(kind("a")),
        lambda kind: pickle.loads(pickle.dumps(kind("a"))),
        lambda kind: isinstance(kind("a"), tuple),
        lambda kind: repr(kind("a")).partition("(")[2],
    ],
)
def test_a_named_tuple_does_the_same(use: Callable[[Tuple], object]) -> None:
    assert use(Ours) == use(Theirs)


@pytest.mark.parametrize(
    "misuse",
    [
        lambda kind: kind(),
        lambda kind: kind("a", 1, (), 4),
        lambda kind: kind("a", name="b"),
        lambda kind: kind("a", 1, size=1),
        lambda kind: kind("a", colour="red"),
        lambda kind: kind("a")._replace(colour="red"),
        lambda kind: setattr(kind("a"), "name", "b"),
        lambda kind: setattr(kind("a"), "colour", "red"),
    ],
)
@pytest.mark.parametrize("kind", [Theirs, Ours])
def test_both_refuse_what_is_wrong(kind: Tuple, misuse: Callable[[Tuple], object]) -> None:
    with pytest.raises((TypeError, ValueError, AttributeError)):
        misuse(kind)


def test_a_named_tuple_is_matched_by_its_fields() -> None:
    match Ours("a", 3):
        case Ours(name, size):
            assert (name, size) == ("a", 3)


@pytest.mark.parametrize(
    "use",
    [
        lambda kind: kind.ONE.value,
        lambda kind: kind.TWO.name,
        lambda kind: kind("one") is kind.ONE,
        lambda kind: kind.ONE == kind.TWO,
        lambda kind: kind.ONE == "one",
        lambda kind: [member.value for member in kind],
        lambda kind: len(kind),
        lambda kind: kind.ONE in kind,
        lambda kind: isinstance(kind.ONE, kind),
        lambda kind: {kind.ONE: 1}[kind("one")],
        lambda kind: copy.deepcopy(kind.ONE) is kind.ONE,
        lambda kind: pickle.loads(pickle.dumps(kind.ONE)) is kind.ONE,
        lambda kind: repr(kind.ONE).partition(".")[2],
    ],
)
def test_an_enum_does_the_same(use: Callable[[Choice], object]) -> None:
    assert use(New) == use(Old)


@pytest.mark.parametrize("kind", [Old, New])
def test_an_enum_has_no_other_member(kind: Choice) -> None:
    with pytest.raises(ValueError, match=r"'three' is not a valid \w+"):
        kind("three")
