"""Places as a tree of the parts of their paths, so that a look opens each directory once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from agentvm.tripwire.places import Place
from agentvm.values import NamedTuple


class AnyName(NamedTuple):
    """Any name in a directory that ends so."""

    end: str

    def fits(self, name: str) -> bool:
        """git makes the samples of hooks, and doesn't run them."""
        return name.endswith(self.end) and not name.endswith(".sample")


class Pattern:
    """What may lie in a directory: itself at a place, and patterns below it."""

    def __init__(self) -> None:
        self.place: Place | None = None
        self.below: dict[str | AnyName, Pattern] = {}

    @staticmethod
    def of(places: Iterable[Place], at: str = "") -> Pattern:
        """The rows of a table, in the directory `at` (with a slash behind it)."""
        pattern = Pattern()
        for place in places:
            parts = [AnyName(part[1:]) if part.startswith("*") else part for part in place.pattern.split("/")]
            pattern.add([*at.split("/")[:-1], *parts], place)
        return pattern

    @staticmethod
    def exactly(places: Mapping[str, Place]) -> Pattern:
        """Paths, whatever is in their names: a guest may have chosen them."""
        pattern = Pattern()
        for path, place in sorted(places.items()):
            pattern.add(path.split("/"), place)
        return pattern

    def add(self, parts: Sequence[str | AnyName], place: Place) -> None:
        node = self
        for part in parts:
            node = node.below.setdefault(part, Pattern())
        node.place = node.place or place

    def first(self) -> Place:
        """One of those in it."""
        return self.place or next(iter(self.below.values())).first()
