"""The pages of help, made from the table of commands and the topics."""

from __future__ import annotations

from agentvm.commands.entry import CommandEntry
from agentvm.commands.layout import Page, Rows
from agentvm.commands.table import COMMANDS, GLOBAL_OPTIONS, GROUPS, find_part
from agentvm.commands.topics import TOPICS

USAGE = "usage: agentvm [options] COMMAND [args…]"
LEAD = "Run coding agents in persistent VMs, one for each project."
_HELP = ("-h, --help", "show this")


def main_page() -> Page:
    groups = (Rows(title, ((c.name, c.summary) for c in commands)) for title, commands in GROUPS)
    return (
        USAGE,
        LEAD,
        *groups,
        Rows("Options before the command", ((option.term, option.help) for option in GLOBAL_OPTIONS)),
        Rows("Topics of `agentvm help`", ((topic.name, topic.summary) for topic in TOPICS.values())),
        (
            "`agentvm help COMMAND` explains a command, `agentvm COMMAND --help` too, unless it is an agent's name: what follows "
            "that is the agent's."
        ),
    )


def command_page(command: CommandEntry) -> Page:
    """All about a command, and below it the topic of its name, if there is one."""
    topic = TOPICS[command.name].page() if command.name in TOPICS else ()
    own = () if command.program else (_HELP,)
    return (f"usage: agentvm {command.usage}", sentence(command.summary), *command_blocks(command, own), *topic)


def command_blocks(command: CommandEntry, more: tuple[tuple[str, str], ...] = ()) -> Page:
    """What there is to say of a command below its usage and its summary; `more` are options that every command has."""
    parts = ((part.usage, part.summary) for part in command.parts)
    operands = ((operand.usage.strip("[]"), operand.help) for operand in command.operands)
    options = [(option.term, option.help) for option in command.options]
    blocks = (
        Rows("Commands", parts),
        Rows("Arguments", operands),
        Rows("Options", [*options, *more]),
        Rows("Examples", command.examples, code=True),
    )
    return (*command.details, *(block for block in blocks if block.rows))


def topic_page(name: str) -> Page:
    topic = TOPICS[name]
    return (f"{topic.name}: {topic.summary}", *topic.page())


def find_page(words: tuple[str, ...]) -> Page:
    """The page of a command, of one of its own commands, or of a topic; else UsageError with the nearest name."""
    if not words:
        return main_page()
    name, *others = words
    if name in COMMANDS:
        command = COMMANDS[name]
        return command_page(find_part(command, others[0]) if others else command)
    if name in TOPICS and not others:
        return topic_page(name)
    from agentvm.errors import UsageError, nearest

    name = " ".join(words)
    guess = nearest(name, (*COMMANDS, *TOPICS))
    raise UsageError(f"There is no command or topic {name!r}.{guess}", "`agentvm --help` shows all of them.")


def sentence(text: str) -> str:
    """A summary as one: but the name of a program keeps its own first letter."""
    return f"{text if text in COMMANDS else text[0].upper() + text[1:]}."
