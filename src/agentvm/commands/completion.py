"""`agentvm completion bash|zsh|fish`: a script that completes command lines, made from the table of commands.

The scripts are in `scripts`; here they are told what the table knows.
"""

from __future__ import annotations

from agentvm.commands.arguments import parse
from agentvm.commands.entry import (
    AFTER_DASHES,
    AFTER_OPERAND,
    AGENT,
    AT_ONCE,
    DIRECTORY,
    FILE,
    INSTANCE,
    PAGE,
    SHELL,
    CommandEntry,
    Option,
)
from agentvm.commands.scripts import BASH, FISH, ZSH
from agentvm.commands.table import COMMANDS, GLOBAL_OPTIONS, choices
from agentvm.commands.topics import TOPICS
from agentvm.console import Console
from agentvm.quoting import join, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

Words = list[tuple[str, str]]
"""What can be typed, and what is said of it."""

_PASSES = {AT_ONCE: "rest=1", AFTER_OPERAND: "passes=operand", AFTER_DASHES: "passes=dashes", "": ""}
_NO_WORDS = "none"
_HELP = Option("--help", "show how to use it", short="-h")


def completion(console: Console, arguments: tuple[str, ...]) -> int:
    shell = parse("completion", arguments).shell
    console.product(script(shell, tuple(COMMANDS.values())).rstrip("\n"))
    return 0


def script(shell: str, commands: tuple[CommandEntry, ...]) -> str:
    """What `shell` reads to complete these commands."""
    template, row, choice = {
        "bash": (BASH, _bash_row, _bash_choice),
        "zsh": (ZSH, _zsh_row, _zsh_choice),
        "fish": (FISH, _fish_row, _fish_choice),
    }[shell]
    rows = "".join(map(row, _known(commands)))
    offers = "".join(choice(kind, words) for kind, words in _choices().items())
    for mark, text in (("@ROWS@\n", rows), ("@CHOICES@\n", offers)):
        template = template.replace(mark, text)
    for kind in (INSTANCE, DIRECTORY, FILE):
        template = template.replace(f"@{kind.upper()}@", kind)
    return template


class _Known:
    """What there is to complete behind a command's name; the name is empty for agentvm itself."""

    def __init__(self, name: str, parts: Words, options: tuple[Option, ...], kinds: list[str], passes_on: str) -> None:
        self.name = name
        self.parts = parts
        self.options: Words = [(word, o.help) for o in options for word in (o.name, o.short) if word]
        self.values = [f"{option.name}:{option.completes or _NO_WORDS}" for option in options if option.value]
        self.kinds = kinds
        self.passes = _PASSES[passes_on]


def _known(commands: tuple[CommandEntry, ...]) -> Iterator[_Known]:
    yield _Known("", [(command.name, command.summary) for command in commands], GLOBAL_OPTIONS, [], "")
    for command in commands:
        yield _of(command)
        yield from map(_of, command.parts)


def _of(command: CommandEntry) -> _Known:
    parts = [(part.name.rpartition(" ")[2], part.summary) for part in command.parts]
    kinds = [f"{o.completes or _NO_WORDS}{'*' if o.many else ''}" for o in command.operands]
    options = () if command.passes_on == AT_ONCE else (*command.options, _HELP)
    return _Known(command.name, parts, options, kinds, command.passes_on)


def _choices() -> dict[str, Words]:
    """The words of each kind that are known beforehand."""
    pages = [(name, topic.summary) for name, topic in TOPICS.items() if name not in COMMANDS]
    found: dict[str, Words] = {kind: [(word, "") for word in choices(kind)] for kind in (AGENT, SHELL)}
    found[AGENT] = [(word, COMMANDS[word].summary) for word, _ in found[AGENT]]
    return {**found, PAGE: [*((name, command.summary) for name, command in COMMANDS.items()), *pages]}


def _bash_choice(kind: str, words: Words) -> str:
    return f"        {kind}) _agentvm_words {quote(_lines(words))} ;;\n"


def _bash_row(known: _Known) -> str:
    lists = (("parts", _lines(known.parts)), ("options", _lines(known.options)), ("values", "\n".join(known.values)))
    settings = [f"{name}={quote(text)}" for name, text in lists if text]
    settings += [f"kinds=({join(tuple(known.kinds))})"] if known.kinds else []
    return f"        {quote(known.name)}) {' '.join(filter(None, (*settings, known.passes)))} ;;\n"


def _lines(words: Words) -> str:
    return "\n".join(word for word, _ in words)


def _zsh_choice(kind: str, words: Words) -> str:
    return f"        ({kind}) found=({_described(words, ':')}) ;;\n"


def _zsh_row(known: _Known) -> str:
    lists = (
        ("parts", _described(known.parts, ":")),
        ("options", _described(known.options, ":")),
        ("values", join(tuple(known.values))),
        ("kinds", join(tuple(known.kinds))),
    )
    settings = [f"{name}=({text})" for name, text in lists if text]
    lines = "\n            ".join(filter(None, (*settings, known.passes)))
    return f"        ({quote(known.name)})\n            {lines}\n            ;;\n"


def _described(words: Words, between: str) -> str:
    return join(tuple(f"{word}{between}{text}".rstrip(between) for word, text in words))


def _fish_row(known: _Known) -> str:
    lists = (
        ("parts", _described(known.parts, "\t")),
        ("options", _described(known.options, "\t")),
        ("values", join(tuple(known.values))),
        ("kinds", join(tuple(known.kinds))),
    )
    settings = [f"set {name} {text}" for name, text in lists if text]
    settings += [f"set {known.passes.replace('=', ' ')}"] if known.passes else []
    return f"        case {quote(known.name)}\n" + "".join(f"            {line}\n" for line in settings)


def _fish_choice(kind: str, words: Words) -> str:
    return f"        case {kind}\n            printf '%s\\n' {_described(words, chr(9))}\n"
