"""A program in the project's own VM, with all that it gets there of its user's home."""

from __future__ import annotations

import os

from agentvm.agents import OPENCODE, PROGRAMS
from agentvm.commands.target import project_spec
from agentvm.context import Context
from agentvm.home import Home, Wanted, gather
from agentvm.instances import bring, bring_copies, check_connection, in_use, install_certificates
from agentvm.launch import Launch
from agentvm.model import Instance, Session
from agentvm.opencode import share_login
from agentvm.process import Pending
from agentvm.project import Project
from agentvm.session import Attachment, Program, build_script
from agentvm.settings import ISOLATED
from agentvm.tripwire.watch import watched
from agentvm.values import NamedTuple


class Task(NamedTuple):
    """`name` is a program's that agentvm knows, or empty for a command line or a shell; `what` says who uses the VM."""

    name: str
    arguments: tuple[str, ...]
    what: str
    yolo: bool


def run_inside(context: Context, project: Project, git: Pending | None, task: Task) -> int:
    """Run it in the VM, which is made or started first if need be; its exit status. `git` is what `ask_git` began."""
    name = task.name
    attachment = _attachment(context)
    wanted = Wanted(name, task.arguments, attachment.terminal, task.yolo)
    shares = context.settings.config != ISOLATED and not context.dry_run
    if name in ("", OPENCODE.name) and shares and (told := share_login(context.host)):
        context.console.say(told)
    home = gather(context.host, context.settings, project, context.backend.gateway, wanted, git)
    spec = project_spec(context, project, home.sharing)
    if context.dry_run:
        bring(context, spec)
        context.console.say(f"would run {task.what} in {spec.name}")
        return 0
    script = build_script(home.sharing, _program(context, name, home.launch), attachment, home.contributions)
    with in_use(context, spec, task.what) as actual:
        _tell(context, actual, home)
        install_certificates(context, actual, home.certificates)
        bring_copies(context, actual, home.copies)
        session = Session(
            script, attachment.terminal, attachment.token, attachment.suspended, agent=home.forwards_agent
        )
        with watched(context, project, home.sharing):
            status = context.backend.session(spec.name, session)
        return check_connection(context, spec.name, status)


def _program(context: Context, name: str, launch: Launch) -> Program:
    if not name:
        return Program(launch.arguments, context.host.directory)
    return Program(
        argv=(name, *launch.arguments),
        directory=context.host.directory,
        environment=launch.environment,
        agent=PROGRAMS[name],
        install=getattr(context.settings, f"{name}_install_cmd"),
        skip_install=context.settings.skip_auto_install,
    )


def _attachment(context: Context) -> Attachment:
    """A terminal only when both ends are one: else the program's output is somebody's input, byte for byte."""
    return Attachment(context.host.stdin_terminal and context.host.stdout_terminal, os.urandom(8).hex())


def _tell(context: Context, actual: Instance, home: Home) -> None:
    for notice in home.notices:
        context.console.say(notice)
    _tell_older(context, actual)


def _tell_older(context: Context, actual: Instance) -> None:
    newest = context.state.newest_generation()
    if actual.label and actual.label.spec.generation < newest:
        context.console.say(
            f"this VM is older than the base: it has generation {actual.label.spec.generation}, the newest is {newest} "
            "(`agentvm rebase` gives it a new one and keeps its home)"
        )
