"""All commands: their names, their help, and where each lives. A command's module is imported when it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from agentvm.context import Context

Function = Callable[["Context", tuple[str, ...]], int]


class CommandEntry(NamedTuple):
    """One command. `passes_on` means that what follows its name belongs to another program, `--help` included."""

    name: str
    usage: str
    summary: str
    module: str
    function: str
    passes_on: bool = False
    program: str = ""
    """Given for a command that is the name of a program in the guest."""

    def load(self) -> Function:
        from importlib import import_module

        function: Function = getattr(import_module(f"agentvm.commands.{self.module}"), self.function)
        if not self.program:
            return function
        from agentvm.commands.run import run_program

        return lambda context, arguments: run_program(context, self.program, arguments)


def _program(name: str, summary: str) -> CommandEntry:
    return CommandEntry(name, f"{name} [args…]", summary, "run", "run_program", True, name)


GROUPS = (
    (
        "Run in this project's VM",
        (
            _program("claude", "Claude Code"),
            _program("codex", "Codex CLI"),
            _program("opencode", "opencode"),
            CommandEntry("run", "run AGENT [args…]", "an agent by its name", "run", "run_agent", True),
            _program("gh", "GitHub's command line"),
            CommandEntry("shell", "shell [-- command…]", "a login shell, or one command", "run", "run_shell", True),
            CommandEntry(
                "login", "login AGENT [args…]", "the agent's own login, inside the VM", "login", "login", True
            ),
            CommandEntry(
                "update", "update [AGENT…] [--base]", "newest versions of the agents in this VM", "update", "update"
            ),
        ),
    ),
    (
        "Look after the VMs",
        (
            CommandEntry("status", "status [--json]", "this project's VM and what it shares", "status", "status"),
            CommandEntry("list", "list [--json] [--all-prefixes]", "all VMs", "listing", "list_instances"),
            CommandEntry(
                "stop",
                "stop [INSTANCE] [--force] [--idle TIME]",
                "stop a VM, or those without a session for that long; disks are kept",
                "remove",
                "stop",
            ),
            CommandEntry("rm", "rm [INSTANCE] [--force]", "delete a VM with its disk", "remove", "remove"),
            CommandEntry(
                "prune",
                "prune [--older-than TIME] [--dry-run]",
                "delete stopped VMs, and those of vanished projects",
                "remove",
                "prune",
            ),
            CommandEntry(
                "adopt", "adopt [INSTANCE]", "take over the VM of this project's old directory", "adopt", "adopt"
            ),
            CommandEntry(
                "rebase",
                "rebase [--force]",
                "a new VM from the newest base, with the home directory of the old one",
                "rebase",
                "rebase",
            ),
            CommandEntry(
                "doctor", "doctor [--json] [--fix]", "look for problems, and mend what is harmless", "doctor", "doctor"
            ),
            CommandEntry(
                "install-shims",
                "install-shims [DIR] [--force]",
                "make claude, codex and opencode run in VMs",
                "shims",
                "install_shims",
            ),
        ),
    ),
    (
        "The base that new VMs are cloned from",
        (
            CommandEntry(
                "base",
                "base init|apply|shell|snapshot|reset",
                "make it; run the manifest in it; look into it; save it; take changes back",
                "base",
                "base",
            ),
        ),
    ),
)

COMMANDS = {command.name: command for _, commands in GROUPS for command in commands}

_OPTIONS = """\
Options before the command
  --dry-run      say what would be done to VMs, and do nothing
  -q, --quiet    only failures
  -v, --verbose  more
  -V, --version
  -h, --help"""


def find_command(name: str) -> CommandEntry:
    """The command of that name; else UsageError with the nearest one."""
    if name in COMMANDS:
        return COMMANDS[name]
    from agentvm.commands.words import nearest
    from agentvm.errors import UsageError

    raise UsageError(f"There is no command {name!r}.{nearest(name, COMMANDS)}", "`agentvm --help` shows all of them.")


def show_command(command: CommandEntry) -> str:
    return f"usage: agentvm {command.usage}\n\n{command.summary[0].upper()}{command.summary[1:]}."


def show_all() -> str:
    """The help page."""
    from agentvm.settings import SETTINGS

    width = max(len(command.usage) for command in COMMANDS.values())
    parts = ["usage: agentvm [options] COMMAND [args…]\n\nRun coding agents in persistent VMs, one for each project."]
    for title, commands in GROUPS:
        rows = (f"  {command.usage:{width}}  {command.summary}" for command in commands)
        parts.append("\n".join((title, *rows)))
    parts.append(_OPTIONS)
    width = max(len(setting.variable) for setting in SETTINGS)
    rows = (f"  {s.variable:{width}}  {s.help}" + (f" ({s.default})" if s.default else "") for s in SETTINGS)
    parts.append(
        "\n".join(("Settings: variables, or names without AGENTVM_ in ~/.config/agentvm/config.toml (default)", *rows))
    )
    return "\n\n".join(parts)
