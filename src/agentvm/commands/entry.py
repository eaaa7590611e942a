"""What a row of the table of commands says."""

from __future__ import annotations

# Not typing's: importing that would cost `--help` half of Python's own start. For the same reason rows are plain classes.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# What an operand or an option's value can be; completions offer it.
AGENT, DIRECTORY, FILE, INSTANCE, PAGE, SHELL = "agent directory file instance page shell".split()

# From where on the words of a command line belong to another program.
AT_ONCE, AFTER_OPERAND, AFTER_DASHES = "at once", "after operand", "after dashes"


class Option:
    """An option as it is written. `value` is what its value is called; a switch has none."""

    def __init__(self, name: str, help: str, value: str = "", short: str = "", completes: str = "") -> None:
        self.name = name
        self.help = help
        self.value = value
        self.short = short
        self.completes = completes

    @property
    def key(self) -> str:
        """The attribute that holds it once it is read."""
        return self.name.lstrip("-").replace("-", "_")

    @property
    def usage(self) -> str:
        return f"{self.name} {self.value}".rstrip()

    @property
    def term(self) -> str:
        return f"{self.short}, {self.usage}" if self.short else self.usage


class Operand:
    """A word that is no option. `many` takes all that are left."""

    def __init__(self, name: str, help: str, completes: str = "", optional: bool = False, many: bool = False) -> None:
        self.name = name
        self.help = help
        self.completes = completes
        self.optional = optional
        self.many = many

    @property
    def key(self) -> str:
        """The attribute that holds it once it is read."""
        return self.name.lower() + ("s" if self.many else "")

    @property
    def usage(self) -> str:
        word = self.name + ("…" if self.many else "")
        return f"[{word}]" if self.optional else word


class CommandEntry:
    """One command, or one of a command's own commands (`parts`), which has no `place`.

    `place` is `module:function` below `agentvm.commands`. The function takes the context and the words behind the name; that
    of an `early` command takes the console instead of the context, since it needs nothing of the world.
    `passes_on` tells from where on the words are another program's, `--help` included; `rest` is what they are called.
    `program` is given for a command that is the name of a program in the guest.
    """

    def __init__(
        self,
        name: str,
        summary: str,
        place: str = "",
        *,
        details: tuple[str, ...] = (),
        operands: tuple[Operand, ...] = (),
        options: tuple[Option, ...] = (),
        parts: tuple[CommandEntry, ...] = (),
        examples: tuple[tuple[str, str], ...] = (),
        passes_on: str = "",
        rest: str = "",
        program: str = "",
        early: bool = False,
    ) -> None:
        self.name = name
        self.summary = summary
        self.place = place
        self.details = details
        self.operands = operands
        self.options = options
        self.parts = parts
        self.examples = examples
        self.passes_on = passes_on
        self.rest = rest
        self.program = program
        self.early = early

    @property
    def usage(self) -> str:
        words = [self.name, *(operand.usage for operand in self.operands)]
        words += ["|".join(part.name.rpartition(" ")[2] for part in self.parts)] if self.parts else []
        return " ".join((*words, *(f"[{option.usage}]" for option in self.options), *filter(None, [self.rest])))

    def part(self, name: str) -> CommandEntry | None:
        return next((part for part in self.parts if part.name == f"{self.name} {name}"), None)

    def own(self, words: tuple[str, ...]) -> tuple[str, ...]:
        """Those of the words behind the name that are agentvm's to understand."""
        if self.passes_on == AT_ONCE:
            return ()
        if "--" in words:
            words = words[: words.index("--")]
        if self.passes_on == AFTER_OPERAND:
            return words[: next((n for n, word in enumerate(words) if not word.startswith("-")), len(words))]
        return words

    def load(self) -> Callable[[Any, tuple[str, ...]], int]:
        module, _, name = self.place.partition(":")
        # Not importlib's: it would import warnings.
        function: Callable[..., int] = getattr(__import__(f"agentvm.commands.{module}", fromlist=[name]), name)
        if not self.program:
            return function
        return lambda context, arguments: function(context, self.program, arguments)
