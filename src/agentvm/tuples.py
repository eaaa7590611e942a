"""`NamedTuple` as typing has it, for the values that every warm run makes.

Importing typing takes half as long as Python's own start, and each class of it is compiled anew at every start, which
takes ten times as long as what is done here. A checker of types sees typing's own.
"""

from __future__ import annotations

__all__ = ["NamedTuple"]

# Not typing's, for the same reason.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NamedTuple, Self
else:
    from operator import itemgetter

    class _Maker(type):
        """Takes the fields from the annotations, and a default from what is assigned to one."""

        def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> _Maker:
            fields = tuple(namespace.get("__annotations__", ()))
            made = {
                "__slots__": (),
                "__match_args__": fields,
                "_fields": fields,
                "_field_defaults": {field: namespace[field] for field in fields if field in namespace},
                **{field: property(itemgetter(place)) for place, field in enumerate(fields)},
            }
            return super().__new__(cls, name, bases, namespace | made)

    class NamedTuple(tuple, metaclass=_Maker):
        """The base of such a class; it has no fields."""

        def __new__(cls, *values: Any, **named: Any) -> Self:
            fields = cls._fields
            if len(values) == len(fields) and not named:
                return tuple.__new__(cls, values)
            given = dict(zip(fields, values, strict=False))
            row = cls._field_defaults | given | named
            if len(values) > len(fields) or given.keys() & named or len(row) != len(fields) or row.keys() - set(fields):
                raise TypeError(f"{cls.__name__} takes {', '.join(fields)}, but got {values} and {named}")
            return tuple.__new__(cls, map(row.__getitem__, fields))

        def __getnewargs__(self) -> tuple[Any, ...]:
            return tuple(self)

        def __repr__(self) -> str:
            return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._asdict().items())})"

        def _asdict(self) -> dict[str, Any]:
            return dict(zip(self._fields, self, strict=True))

        def _replace(self, **named: Any) -> Self:
            return type(self)(**(self._asdict() | named))
