"""`NamedTuple` and `Enum` as typing and enum have them, for the values that every warm run makes.

Importing those two takes half as long as Python's own start, and each class of typing's is compiled anew at every start,
which takes ten times as long as what is done here. A checker of types sees the originals.
"""

from __future__ import annotations

__all__ = ["Enum", "NamedTuple"]

# Not typing's, for the same reason.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from enum import Enum
    from typing import Any, NamedTuple, Self
else:
    from operator import itemgetter

    class _Fields(type):
        """Takes the fields from the annotations, and a default from what is assigned to one."""

        def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> Self:
            fields = tuple(namespace.get("__annotations__", ()))
            made = {
                "__slots__": (),
                "__match_args__": fields,
                "_fields": fields,
                "_field_defaults": {field: namespace[field] for field in fields if field in namespace},
                **{field: property(itemgetter(place)) for place, field in enumerate(fields)},
            }
            return super().__new__(cls, name, bases, namespace | made)

    class NamedTuple(tuple, metaclass=_Fields):
        """The base of such a class; it has no fields."""

        def __new__(cls, *values: Any, **named: Any) -> Self:
            if named or len(values) != len(cls._fields):
                missing, row = cls._fields[len(values) :], cls._field_defaults | named
                if len(values) > len(cls._fields) or named.keys() - set(missing) or set(missing) - row.keys():
                    raise TypeError(f"{cls.__name__} takes {', '.join(cls._fields)}, and not {values} with {named}")
                values += tuple(map(row.__getitem__, missing))
            return tuple.__new__(cls, values)

        def __getnewargs__(self) -> tuple[Any, ...]:
            return tuple(self)

        def __repr__(self) -> str:
            return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._asdict().items())})"

        def _asdict(self) -> dict[str, Any]:
            return dict(zip(self._fields, self, strict=True))

        def _replace(self, **named: Any) -> Self:
            changed = tuple.__new__(type(self), map(named.pop, self._fields, self))
            if named:
                raise TypeError(f"{type(self).__name__} has no {', '.join(named)}")
            return changed

    class _Members(type):
        """Makes a member of each text that is assigned, and finds it by that."""

        def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> None:
            super().__init__(name, bases, namespace)
            cls._members: dict[str, Any] = {}
            for key, value in namespace.items():
                if isinstance(value, str) and not key.startswith("_"):
                    member = cls._members[value] = object.__new__(cls)
                    member.name, member.value = key, value
                    setattr(cls, key, member)

        def __call__(cls, value: str) -> Any:
            if value in cls._members:
                return cls._members[value]
            raise ValueError(f"{value!r} is not a valid {cls.__name__}")

        def __iter__(cls) -> Iterator[Any]:
            return iter(cls._members.values())

        def __len__(cls) -> int:
            return len(cls._members)

        def __contains__(cls, member: object) -> bool:
            return member in cls._members.values()

    class Enum(metaclass=_Members):
        """The base of such a class. Its values are texts."""

        def __reduce__(self) -> tuple[type, tuple[str]]:
            return type(self), (self.value,)

        def __repr__(self) -> str:
            return f"<{type(self).__name__}.{self.name}: {self.value!r}>"
