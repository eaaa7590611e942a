"""`agentvm claude|codex|opencode|gh|run|shell`: a program in the project's own VM."""

from __future__ import annotations

import os

from agentvm.commands.target import current_project
from agentvm.context import Context
from agentvm.errors import UsageError
from agentvm.git import ask_git


def run_agent(context: Context, arguments: tuple[str, ...]) -> int:
    """`agentvm run AGENT [args…]`."""
    from agentvm.commands.arguments import parse

    options = parse("run", arguments)
    return run_program(context, options.agent, options.rest)


def run_program(context: Context, name: str, arguments: tuple[str, ...]) -> int:
    """An agent or gh, with its arguments as they are."""
    return run_wanted(context, name, arguments, name, yolo=context.settings.yolo)


def run_shell(context: Context, arguments: tuple[str, ...]) -> int:
    """`agentvm shell`: a login shell; `agentvm shell -- COMMAND [ARG…]`: exactly that program."""
    if arguments and arguments[0] != "--":
        raise UsageError("`agentvm shell` takes a command only after `--`.", "Like: agentvm shell -- make test")
    if arguments == ("--",):
        raise UsageError("`agentvm shell --` needs a command.", "Like: agentvm shell -- make test")
    what = "shell" if not arguments else os.path.basename(arguments[1])
    return run_wanted(context, "", arguments[1:], what, yolo=False)


def run_wanted(context: Context, name: str, arguments: tuple[str, ...], what: str, *, yolo: bool) -> int:
    """`name` is a program's that agentvm knows, or empty for a command line or a shell; `what` says who uses the VM."""
    project = current_project(context)
    # git has its answer by the time that what comes next is imported.
    git = ask_git(context.host, project.root)
    from agentvm.commands.inside import Task, run_inside

    return run_inside(context, project, git, Task(name, arguments, what, yolo))
