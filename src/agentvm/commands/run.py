"""`agentvm claude|codex|opencode|gh|run|shell`: a program in the project's own VM."""

from __future__ import annotations

import os

from agentvm.agents import AGENTS, PROGRAMS, TERMINAL_VARIABLES, Agent, Yolo, add_bypass
from agentvm.commands.target import current_project, project_spec
from agentvm.context import Context
from agentvm.errors import Error, UsageError
from agentvm.instances import bring, in_use
from agentvm.model import Instance, InstanceSpec, Session, Status
from agentvm.session import Attachment, Program, build_script
from agentvm.sharing import plan_sharing

_LOST = 255
"""What ssh returns when the connection was lost; a program may return it too."""


def run_agent(context: Context, arguments: tuple[str, ...]) -> int:
    """`agentvm run AGENT [args…]`."""
    if not arguments:
        raise UsageError("`agentvm run` needs the name of an agent.", f"There are {', '.join(AGENTS)}.")
    name, *rest = arguments
    if name not in AGENTS:
        from agentvm.commands.words import nearest

        raise UsageError(f"There is no agent {name!r}.{nearest(name, AGENTS)}", f"There are {', '.join(AGENTS)}.")
    return run_program(context, name, tuple(rest))


def run_program(context: Context, name: str, arguments: tuple[str, ...]) -> int:
    """An agent or gh, with its arguments as they are."""
    agent = PROGRAMS[name]
    changed = add_bypass(agent, arguments) if context.settings.yolo else Yolo(arguments)
    if changed.added:
        context.console.say(f"AGENTVM_YOLO=1 adds {changed.added}")
    program = Program(
        argv=(name, *changed.arguments),
        directory=context.host.directory,
        environment=_passed(context, agent) + changed.environment,
        agent=agent,
        install=getattr(context.settings, f"{name}_install_cmd"),
        skip_install=context.settings.skip_auto_install,
    )
    return _run(context, program, name)


def run_shell(context: Context, arguments: tuple[str, ...]) -> int:
    """`agentvm shell`: a login shell; `agentvm shell -- COMMAND [ARG…]`: exactly that program."""
    if arguments and arguments[0] != "--":
        raise UsageError("`agentvm shell` takes a command only after `--`.", "Like: agentvm shell -- make test")
    if arguments == ("--",):
        raise UsageError("`agentvm shell --` needs a command.", "Like: agentvm shell -- make test")
    program = Program(argv=arguments[1:], directory=context.host.directory, environment=_passed(context, None))
    return _run(context, program, "shell" if not arguments else os.path.basename(arguments[1]))


def _run(context: Context, program: Program, what: str) -> int:
    project = current_project(context)
    sharing = plan_sharing(context.host, context.settings, project)
    wanted = project_spec(context, project, sharing)
    if context.dry_run:
        bring(context, wanted)
        context.console.say(f"would run {what} in {wanted.name}")
        return 0
    attachment = _attachment(context)
    script = build_script(sharing, program, attachment)
    with in_use(context, wanted, what) as actual:
        _tell_older(context, actual)
        session = Session(script, attachment.terminal, attachment.token, attachment.suspended)
        status = context.backend.session(wanted.name, session)
        if status == _LOST:
            _explain(context, wanted)
        return status


def _attachment(context: Context) -> Attachment:
    """A terminal only when both ends are one: else the program's output is somebody's input, byte for byte."""
    return Attachment(context.host.stdin_terminal and context.host.stdout_terminal, os.urandom(8).hex())


def _passed(context: Context, agent: Agent | None) -> tuple[tuple[str, str], ...]:
    names = TERMINAL_VARIABLES + (agent.passes if agent else ())
    environment = context.host.environment
    return tuple((name, environment[name]) for name in names if name in environment)


def _tell_older(context: Context, actual: Instance) -> None:
    newest = context.state.newest_generation()
    if actual.label and actual.label.spec.generation < newest:
        context.console.say(
            f"this VM is older than the base: it has generation {actual.label.spec.generation}, the newest is {newest} "
            "(`agentvm rm`, and the next run makes it anew)"
        )


def _explain(context: Context, wanted: InstanceSpec) -> None:
    """Say so when it was the VM that ended, and not the program that returned 255."""
    actual = context.backend.find(wanted.name)
    if actual is None or actual.status is not Status.RUNNING:
        state = actual.status.value if actual else "gone"
        raise Error(f"The connection was lost: {wanted.name} is {state}.", "Run it again; the VM is then brought back.")
