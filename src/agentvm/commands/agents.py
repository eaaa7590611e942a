"""What `agentvm doctor` tells of each agent: version, login, what it shares, and what its configuration needs in the guest."""

from __future__ import annotations

import os
from typing import NamedTuple

from agentvm.agents import AGENTS, CLAUDE, CODEX, NPM_PREFIX, Agent
from agentvm.claude import claude_file
from agentvm.commands.target import current_project, project_spec
from agentvm.context import Context
from agentvm.errors import Error
from agentvm.home import Home, Wanted, gather
from agentvm.hostprograms import localhost_urls, missing_script, programs_named
from agentvm.instances import ask
from agentvm.model import Command, Finding, Instance, Status
from agentvm.paths import find_real
from agentvm.project import Project
from agentvm.session import EVAL, Attachment, Program, build_script
from agentvm.settings import ISOLATED, OVERLAY, SHARED
from agentvm.sharing import CLAUDE as CLAUDE_DIRECTORY
from agentvm.sharing import CODEX as CODEX_DIRECTORY
from agentvm.sharing import OPENCODE as OPENCODE_DIRECTORY
from agentvm.sharing import config_directory
from agentvm.untrusted import parse_json, read_text

_PATIENCE = 120.0
"""Seconds for what an agent tells of itself: opencode takes half a second on real hardware, and much more in emulation."""
_SILENT = "the VM does not answer, and is not asked about the others"
_LARGEST_FILE = 8_000_000
_LOGINS = {
    CLAUDE.name: "claude auth status 2>/dev/null",
    CODEX.name: "codex login status 2>&1",
    "opencode": "NO_COLOR=1 opencode auth list 2>/dev/null",
}
_SHARED = {
    CLAUDE.name: (CLAUDE_DIRECTORY, "and of ~/.claude.json what concerns this project, as a copy"),
    CODEX.name: (CODEX_DIRECTORY, "but its databases, which each VM has for itself"),
    "opencode": (OPENCODE_DIRECTORY, "and its login, but not its database"),
}
_COPIED = {
    CLAUDE.name: "its sessions and plans are shared, its login is not",
    CODEX.name: "its sessions are shared, and so is a key, but no other login",
    "opencode": "its login is shared, its sessions are not",
}
_PROBE = """\
command -v {name} >/dev/null || {{ echo absent; exit 0; }}
echo "version $({name} --version 2>/dev/null | head -n 1)"
{login} | sed 's/^/login /'
"""


class _File(NamedTuple):
    """A file of the configuration, as people know it, and where it is."""

    name: str
    path: str
    follow: bool = False
    """Whether it may be a link: not where a guest could have made that."""
    writable: tuple[str, ...] = ()
    """Directories that guests can write, in which nothing on the way to it may be a link."""


def agent_findings(context: Context) -> tuple[Finding, ...]:
    """All of them for the current project; without a running VM only what the host itself knows."""
    try:
        project = current_project(context)
        instance = _running(context, project)
    except Error:
        # That there is no project here is said elsewhere.
        return ()
    found: list[Finding] = []
    asked = instance
    for agent in AGENTS.values():
        found += _findings(context, project, asked, agent)
        if any(finding.text == _SILENT for finding in found):
            # The next one would be waited for as long.
            asked = None
    if instance is None:
        hint = f"run it again while the VM runs, as after `agentvm shell -- true` in {project.root}"
        found.append(Finding("ok", "agents", "versions and logins are known when this project's VM runs", hint))
    return tuple(found)


def _running(context: Context, project: Project) -> Instance | None:
    home = gather(context.host, context.settings, project, context.backend.gateway, Wanted("", ("true",), False))
    instance = context.backend.find(project_spec(context, project, home.sharing).name)
    ours = instance and instance.label and instance.label.spec.prefix == context.prefix
    return instance if instance and ours and instance.status is Status.RUNNING else None


def _findings(context: Context, project: Project, instance: Instance | None, agent: Agent) -> tuple[Finding, ...]:
    files = tuple(_files(context, project, agent))
    shared = Finding("ok", agent.name, _shares(context, agent))
    programs, notices = _programs(agent, project, files, context.settings.config == SHARED)
    said = tuple(Finding("warning", agent.name, notice) for notice in notices)
    if instance is None:
        return (shared, *said)
    home = gather(
        context.host, context.settings, project, context.backend.gateway, Wanted(agent.name, ("--version",), False)
    )
    script = _script(context, agent, home, missing_script(programs)).encode(errors="surrogateescape")
    answer = _ask(context, instance, agent, Command(EVAL, script, timeout=_PATIENCE))
    missing = {line for line in _lines(answer, "missing ") if line in programs}
    return (
        *_about(agent, answer),
        shared,
        *said,
        *(
            Finding(
                "warning",
                agent.name,
                f"{where} needs {program}, which is not in this VM",
                "install it by the base's manifest, or take it out there",
            )
            for program, where in programs.items()
            if program in missing
        ),
        *_addresses(context, agent, files),
    )


def _shares(context: Context, agent: Agent) -> str:
    path, beside = _SHARED[agent.name]
    directory = config_directory(context.host, path)
    if context.settings.config == ISOLATED:
        return "shares nothing (AGENTVM_CONFIG=isolated)"
    if context.settings.config == OVERLAY:
        return f"has copies of its settings in {directory}; {_COPIED[agent.name]} (AGENTVM_CONFIG=overlay)"
    return f"shares {directory}, {beside}"


# --- In the guest ------------------------------------------------------------------------------------------------------


def _script(context: Context, agent: Agent, home: Home, missing: str) -> str:
    """A session like any other of this agent, but that it asks."""
    probe = _PROBE.format(name=agent.name, login=_LOGINS[agent.name])
    if missing:
        probe += f"(\n{missing}) | sed 's/^/missing /'\n"
    path = f'PATH="$HOME/{NPM_PREFIX}/bin:$PATH"\n'
    program = Program(("/bin/sh", "-c", path + probe), context.host.directory, home.launch.environment)
    return build_script(home.sharing, program, Attachment(False, os.urandom(8).hex()), home.contributions)


def _ask(context: Context, instance: Instance, agent: Agent, command: Command) -> tuple[str, ...]:
    """Told of only where a line goes away again: doctor's lines are what was asked for."""
    if not context.console.live:
        return ask(context, instance.name, command)
    with context.console.work(f"ask {agent.name} in {instance.name}"):
        return ask(context, instance.name, command)


def _about(agent: Agent, answer: tuple[str, ...]) -> tuple[Finding, ...]:
    if not answer:
        return (Finding("warning", agent.name, _SILENT, "`agentvm shell` looks into the VM, `agentvm stop` ends it"),)
    if "absent" in answer:
        return (Finding("ok", agent.name, "is not installed in this VM: its first run does it"),)
    version = " ".join(_lines(answer, "version "))[:80].strip()
    if not version:
        return (Finding("warning", agent.name, "does not run in this VM", "", f"agentvm update {agent.name}"),)
    return (Finding("ok", agent.name, f"is at {version}"), _login(agent, _lines(answer, "login ")))


def _lines(answer: tuple[str, ...], mark: str) -> tuple[str, ...]:
    return tuple(line.removeprefix(mark) for line in answer if line.startswith(mark))


def _login(agent: Agent, lines: tuple[str, ...]) -> Finding:
    how = {CLAUDE.name: _claude_login, CODEX.name: _codex_login}.get(agent.name, _opencode_login)(lines)
    if how:
        return Finding("ok", agent.name, f"is logged in: {how[:200]}")
    return Finding("warning", agent.name, "is not logged in in this VM", "", f"agentvm login {agent.name}")


def _claude_login(lines: tuple[str, ...]) -> str:
    try:
        status = parse_json("\n".join(lines))
    except ValueError:
        return ""
    if not isinstance(status, dict) or status.get("loggedIn") is not True:
        return ""
    words = [status.get(key) for key in ("authMethod", "apiKeySource", "email", "subscriptionType")]
    return ", ".join(word for word in words if isinstance(word, str) and word)


def _codex_login(lines: tuple[str, ...]) -> str:
    """Its line may end with the ends of a key, which belong in no report."""
    return next((line.partition(" - ")[0] for line in lines if line.startswith(("Logged in", "API key"))), "")


def _opencode_login(lines: tuple[str, ...]) -> str:
    """A line with a dot for each login, then for each variable that is a key."""
    found = (line.partition("●")[2].partition("\033")[0].strip() for line in lines if "●" in line)
    return ", ".join(name for name in found if name)


# --- On the host -------------------------------------------------------------------------------------------------------


def _files(context: Context, project: Project, agent: Agent) -> list[_File]:
    """Files of the user's own, and of the project those that lie in it: a guest may have put links there."""
    if agent.name == CLAUDE.name:
        own = config_directory(context.host, CLAUDE_DIRECTORY)
        beside = claude_file(context.host)
        settings = os.path.join(own, "settings.json")
        found = [_File(settings, settings), _File(beside, beside, os.path.dirname(beside) == context.host.home)]
        names = [".claude/settings.json", ".claude/settings.local.json", ".mcp.json"]
    elif agent.name == CODEX.name:
        path = os.path.join(config_directory(context.host, CODEX_DIRECTORY), "config.toml")
        found, names = [_File(path, path)], [".codex/config.toml"]
    else:
        names = ["opencode.json", "opencode.jsonc"]
        own = config_directory(context.host, OPENCODE_DIRECTORY)
        found = [_File(path, path) for path in (os.path.join(own, name) for name in names)]
    places = ((name, os.path.join(project.root, name)) for name in names)
    if context.settings.config == ISOLATED:
        found = []
    # A link that was there before is the user's own, as far as anybody can tell, and is passed over in silence.
    return found + [_File(name, path, writable=(project.root,)) for name, path in places if find_real(path) == path]


def _programs(
    agent: Agent, project: Project, files: tuple[_File, ...], shared: bool
) -> tuple[dict[str, str], tuple[str, ...]]:
    """What they name, with where; and what can't be read. A link in what is not shared is told where it is copied."""
    programs: dict[str, str] = {}
    notices: list[str] = []
    for file in files:
        content, problem = _read(file)
        if not file.follow and os.path.islink(file.path):
            if shared:
                notices.append(
                    f"{file.name} is a link, and leads nowhere in the VM unless `[[mounts]]` shares its target"
                )
        elif problem:
            notices.append(problem)
        elif content is not None:
            found = programs_named(agent.name, file.path, content, project.root)
            notices += found.notices
            for named in found.named:
                programs.setdefault(named.program, f"{named.what} of {file.name}")
    return programs, tuple(notices)


def _addresses(context: Context, agent: Agent, files: tuple[_File, ...]) -> tuple[Finding, ...]:
    found = []
    for file in files:
        content, _ = _read(file)
        for address in localhost_urls(agent.name, file.path, content).found if content is not None else ():
            text = f"{address.what} of {file.name} is {address.url}, which in the VM is the VM itself"
            found.append(Finding("warning", agent.name, text, f"the host is {context.backend.gateway} there"))
    return tuple(found)


def _read(file: _File) -> tuple[bytes | None, str]:
    try:
        text = read_text(file.path, _LARGEST_FILE, follow=file.follow, writable=file.writable)
    except ValueError as problem:
        return None, f"{file.name} can't be read: {problem}"
    return (None if text is None else os.fsencode(text)), ""
