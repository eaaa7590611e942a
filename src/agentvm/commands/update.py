"""`agentvm update`: bring the agents in a VM to their newest versions. Their own updaters are off."""

from __future__ import annotations

from agentvm.agents import AGENTS
from agentvm.commands.arguments import parse
from agentvm.commands.target import current_project, project_spec
from agentvm.context import Context
from agentvm.errors import Error, UsageError
from agentvm.home import Home, Wanted, gather
from agentvm.instances import base_spec, carry_out, in_use, install_certificates
from agentvm.model import Command
from agentvm.plan import newest_golden, plan_base_shell
from agentvm.session import EVAL, build_update

_PATIENCE = 3600.0
"""Seconds for all of them: each is up to 180 MB of download."""
_LONGEST = 100_000
"""Bytes that are kept until a line ends."""


def update(context: Context, arguments: tuple[str, ...]) -> int:
    """Without names those that are installed; a named one is installed if it is missing."""
    options = parse("update", arguments)
    names = tuple(dict.fromkeys(options.agents))
    return _update_base(context, names) if options.base else _update_project(context, names)


def _update_project(context: Context, names: tuple[str, ...]) -> int:
    project = current_project(context)
    home = gather(context.host, context.settings, project, context.backend.gateway, Wanted("", ("update",), False))
    spec = project_spec(context, project, home.sharing)
    if context.dry_run:
        context.console.say(f"would update {_words(names)} in {spec.name}")
        return 0
    with in_use(context, spec, "update") as actual:
        install_certificates(context, actual, home.certificates)
        return _carry_out(context, spec.name, names, _script(context, home, names))


def _update_base(context: Context, names: tuple[str, ...]) -> int:
    """In the working base, whose guest sees nothing of the host; projects have it after a snapshot."""
    spec = base_spec(context.prefix)
    with context.state.change(spec.name, "updating agents in the base"):
        golden = newest_golden(context.backend.list(), context.prefix)
        actual = context.backend.find(spec.name)
        if actual is None and golden is None:
            raise UsageError("There is no base yet.", "`agentvm base init` makes it.")
        carry_out(context, spec.name, plan_base_shell(spec, actual, golden), "starting the base", force=True)
        if context.dry_run:
            context.console.say(f"would update {_words(names)} in {spec.name}")
            return 0
        status = _carry_out(context, spec.name, names, _script(context, None, names))
    context.console.say("projects see it after `agentvm base snapshot`; `agentvm base reset` takes it back")
    return status


def _script(context: Context, home: Home | None, names: tuple[str, ...]) -> str:
    installs = tuple(
        (agent, getattr(context.settings, f"{agent.name}_install_cmd"))
        for agent in AGENTS.values()
        if agent.name in (names or AGENTS)
    )
    sharing, contributions = (home.sharing, home.contributions) if home else (None, ())
    return build_update(sharing, contributions, installs, only_installed=not names)


def _carry_out(context: Context, name: str, names: tuple[str, ...], script: str) -> int:
    """What was asked for are the lines about versions; all else is said while it goes on."""
    command = Command(EVAL, script.encode(errors="surrogateescape"), timeout=_PATIENCE)
    versions: list[str] = []
    rest = b""

    def output(data: bytes) -> None:
        nonlocal rest
        *lines, rest = (rest + data)[-_LONGEST:].split(b"\n")
        for line in lines:
            if any(line.startswith(f"{agent} is at ".encode()) for agent in AGENTS) and len(versions) < len(AGENTS):
                versions.append(line.decode(errors="replace"))
            else:
                context.console.pass_on(line + b"\n")

    try:
        with context.console.work(f"update {_words(names)} in {name}"):
            if context.backend.run(name, command, output) != 0:
                raise Error("Not every agent could be updated; see above.", "What worked before still does. Try again.")
    finally:
        for version in versions:
            context.console.product(version)
    return 0


def _words(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "the agents"
