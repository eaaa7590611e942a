"""The words behind a command's name, read by what the table says of that command. Mistakes are UsageErrors."""

from __future__ import annotations

from agentvm.commands.entry import AFTER_OPERAND, AGENT, CommandEntry, Operand, Option
from agentvm.commands.table import GLOBAL_OPTIONS, choices, find_command, find_part
from agentvm.errors import UsageError, nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Arguments:
    """Every option and operand of the command as an attribute, and what is another program's as `rest`.

    A switch is True or False, an option's value a text or None, and so is an operand; one that takes many is a tuple.
    """

    def __init__(self, values: dict[str, Any]) -> None:
        self.__dict__.update(values)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


def parse(name: str, words: tuple[str, ...], part: str | None = None) -> Arguments:
    """Read what follows the name of a command, or that of one of its own commands, `part`."""
    return read(find_command(name) if part is None else find_part(find_command(name), part), words)


def read(command: CommandEntry, words: tuple[str, ...]) -> Arguments:
    """Read what follows the name of this command."""
    values: dict[str, Any] = {option.key: None if option.value else False for option in command.options}
    operands, rest = _read(command, list(words), values)
    values.update(_assign(command, operands))
    return Arguments({**values, "rest": tuple(rest)})


def _read(command: CommandEntry, words: list[str], values: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Fill in the options; the operands, and what is another program's."""
    operands: list[str] = []
    while words:
        word = words.pop(0)
        if word == "--":
            return operands + words, []
        if not word.startswith("-") or word == "-":
            operands.append(word)
            if command.passes_on == AFTER_OPERAND:
                return operands, words
            continue
        name, equals, value = word.partition("=")
        option = _find_option(command, name)
        if not option.value and equals:
            raise _wrong(command, f"`{name}` takes no value")
        if option.value and not equals:
            if not words:
                raise _wrong(command, f"`{name}` needs a value, {option.value}")
            value = words.pop(0)
        values[option.key] = value if option.value else True
    return operands, []


def _find_option(command: CommandEntry, name: str) -> Option:
    for option in command.options:
        if name in (option.name, option.short):
            return option
    if any(name in (option.name, option.short) for option in GLOBAL_OPTIONS):
        raise UsageError(
            f"{name} goes before the command.",
            f"Like: agentvm {name} {command.name}; `agentvm --help` shows such options.",
        )
    guess = nearest(name, [option.name for option in (*command.options, *GLOBAL_OPTIONS)])
    raise _wrong(command, f"there is no option {name!r}", guess)


def _assign(command: CommandEntry, words: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for operand in command.operands:
        taken, words = (words, []) if operand.many else (words[:1], words[1:])
        if not taken and not operand.optional:
            raise _missing(command, operand)
        for word in taken:
            check_choice(operand.completes, word)
        values[operand.key] = tuple(taken) if operand.many else next(iter(taken), None)
    if words:
        raise _wrong(command, f"it is not clear what {words[0]!r} shall do")
    return values


def check_choice(kind: str, word: str) -> None:
    """Raise UsageError, with the nearest one, for a word that is none of those that there are."""
    known = choices(kind)
    if known and word not in known:
        raise UsageError(f"There is no {kind} {word!r}.{nearest(word, known)}", f"There are {', '.join(known)}.")


def _missing(command: CommandEntry, operand: Operand) -> UsageError:
    known = choices(operand.completes)
    what = f"the name of {'an' if operand.completes == AGENT else 'a'} {operand.completes}" if known else operand.name
    hint = f"There are {', '.join(known)}." if known else _hint(command)
    return UsageError(f"`agentvm {command.name}` needs {what}.", hint)


def _wrong(command: CommandEntry, what: str, guess: str = "") -> UsageError:
    return UsageError(f"agentvm {command.name}: {what}.{guess}", _hint(command))


def _hint(command: CommandEntry) -> str:
    return f"`agentvm {command.name} --help` shows how to use it."
