"""What a session gets of its user's home: shared directories, identity, logins, settings, and how its program is started.

Each of these has a room of its own; here they are asked, git and gh first, since these are programs and run meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from agentvm.agents import AGENTS, PROGRAMS
from agentvm.agents import CLAUDE as CLAUDE_AGENT
from agentvm.agents import CODEX as CODEX_AGENT
from agentvm.agents import OPENCODE as OPENCODE_AGENT
from agentvm.environment import plan_environment, read_localtime
from agentvm.git import Configuration, Git, ask_git, plan_git, read_git
from agentvm.launch import Launch, find_places, plan_launch
from agentvm.model import Certificates, Contribution, Copies, GitHub, Host
from agentvm.process import Pending
from agentvm.project import Project
from agentvm.quoting import quote
from agentvm.settings import ISOLATED, OVERLAY, Settings
from agentvm.sharing import (
    CODEX,
    GH,
    GIT_CREDENTIALS,
    GITCONFIG,
    Sharing,
    SyncedFile,
    config_directory,
    plan_sharing,
)
from agentvm.values import NamedTuple
from agentvm.variables import CERTIFICATES, passed


class Wanted(NamedTuple):
    """What to run: the name of a program if it is one that agentvm knows, and its arguments."""

    name: str
    arguments: tuple[str, ...]
    terminal: bool
    yolo: bool = False
    """Whether an agent is to act without asking."""

    @property
    def is_shell(self) -> bool:
        """Whether a person may type an agent's name there."""
        return not self.name and not self.arguments and self.terminal


class Home(NamedTuple):
    """What the guest gets for one session, and what the user is told before it."""

    sharing: Sharing
    launch: Launch
    contributions: tuple[Contribution, ...]
    certificates: Certificates
    forwards_agent: bool
    copies: Copies = Copies()
    """Without their contents, which only a guest needs that has older ones."""

    @property
    def notices(self) -> tuple[str, ...]:
        told = (text for room in self.contributions for text in room.notices)
        return tuple(dict.fromkeys((*self.launch.notices, *self.sharing.notices, *self.copies.notices, *told)))


def gather(
    host: Host, settings: Settings, project: Project, gateway: str, wanted: Wanted, git: Pending | None = None
) -> Home:
    """All of it. Reads files of the user's and asks git and gh; nothing that is wrong there keeps a session from starting.

    `git` is what `ask_git` began, if it was asked already.
    """
    git = git or ask_git(host, project.root)
    github = _ask_github(host, settings)
    sharing = plan_sharing(host, settings, project)
    forwards = bool(settings.ssh_agent and host.environment.get("SSH_AUTH_SOCK"))
    places = find_places(project, host.directory)
    isolated = settings.config == ISOLATED
    configured = _Configured() if isolated else _configured(host, settings, wanted)
    certificates, trust = _certificates(host)
    known = github()
    identity = _identity(host, settings, sharing, read_git(git), known.hosts, forwards)
    environment = plan_environment(
        host,
        # Its keys would be what the user keeps from this VM: `pass_env` can name them.
        agent="" if isolated else wanted.name,
        gateway=gateway,
        extra=(*settings.pass_env, *configured.variables),
        terminal=wanted.terminal,
        localtime=read_localtime(),
    )
    return Home(
        _with_section(sharing, identity),
        _launch(wanted, places, configured.keyring),
        (
            surround(host.platform),
            environment,
            trust,
            identity.contribution,
            known.contribution,
            _claude(host, settings, wanted, places),
            _codex_login(settings.config, wanted),
            Contribution(notices=configured.notices + _agent_notices(settings, forwards)),
        ),
        certificates,
        forwards,
        _copies(host, settings),
    )


def _identity(
    host: Host,
    settings: Settings,
    sharing: Sharing,
    found: Configuration,
    github_hosts: tuple[str, ...],
    forwards: bool,
) -> Git:
    return plan_git(
        host,
        _told_once(found, sharing),
        copied=settings.mount_gitconfig,
        credentials=any(file.path == GIT_CREDENTIALS and file.content is not None for file in sharing.files),
        github_hosts=github_hosts,
        agent=forwards,
        keys=settings.mount_ssh,
    )


def _told_once(configuration: Configuration, sharing: Sharing) -> Configuration:
    """What is wrong with ~/.gitconfig itself was said when it could not be copied."""
    said = any(f"/{GITCONFIG} " in notice for notice in sharing.notices)
    return configuration._replace(notice="") if said else configuration


def _ask_github(host: Host, settings: Settings) -> Callable[[], GitHub]:
    """Begin to ask gh; the function that is returned waits for what it says."""
    directory = config_directory(host, GH)
    if not (settings.mount_gh_config and os.path.lexists(os.path.join(directory, "hosts.yml"))):
        return GitHub
    from agentvm.github import ask_github

    return ask_github(host, directory).finish


def _certificates(host: Host) -> tuple[Certificates, Contribution]:
    if not any(host.environment.get(name) for name in (*CERTIFICATES, "SSL_CERT_DIR")):
        return Certificates(), Contribution()
    from agentvm.certificates import certificates_contribution, read_certificates

    found = read_certificates(host)
    return found, certificates_contribution(found)


def surround(platform: str) -> Contribution:
    """What every session has for every agent, since a shell's user may start any: live databases on the guest's own disk."""
    lines: list[str] = []
    for agent in AGENTS.values():
        lines += (f"export {name}={_value(value)}" for name, value in agent.environment_for(platform))
        lines += (f'[ -d "$HOME"/{quote(path)} ] || mkdir -p "$HOME"/{quote(path)}' for path in agent.directories)
    return Contribution(lines=tuple(lines))


def _value(value: str) -> str:
    return f'"$HOME"/{quote(value[2:])}' if value.startswith("~/") else quote(value)


def _launch(wanted: Wanted, places: tuple[str, ...], keyring: bool) -> Launch:
    if wanted.name not in PROGRAMS:
        return Launch(wanted.arguments)
    agent = PROGRAMS[wanted.name]
    return plan_launch(agent, wanted.arguments, yolo=wanted.yolo, places=places, codex_keyring=keyring)


class _Configured(NamedTuple):
    """What an agent's configuration on the host says: the variables that it needs, and whether its login is out of reach."""

    variables: tuple[str, ...] = ()
    keyring: bool = False
    notices: tuple[str, ...] = ()


def _configured(host: Host, settings: Settings, wanted: Wanted) -> _Configured:
    if wanted.name == CODEX_AGENT.name:
        from agentvm.codex import read_codex

        return _Configured(*read_codex(host, settings, wanted.arguments))
    if wanted.name == OPENCODE_AGENT.name:
        from agentvm.opencode import opencode_variables

        return _Configured(opencode_variables(host, settings))
    return _Configured()


def _copies(host: Host, settings: Settings) -> Copies:
    if settings.config != OVERLAY:
        return Copies()
    from agentvm.copies import read_copies

    return read_copies(host, settings, contents=False)


def _codex_login(mode: str, wanted: Wanted) -> Contribution:
    """A login with a token that serves once is not copied: a guest that has none of its own is told so."""
    if mode != OVERLAY or wanted.name != CODEX_AGENT.name or wanted.arguments[:1] == ("login",):
        return Contribution()
    text = "codex is not logged in in this VM: `agentvm login codex --device-auth` does it, once for this VM"
    return Contribution(lines=(f'[ -e "$HOME/{CODEX}/auth.json" ] || say {quote(text)}',))


def _claude(host: Host, settings: Settings, wanted: Wanted, places: tuple[str, ...]) -> Contribution:
    if wanted.name != CLAUDE_AGENT.name and not wanted.is_shell:
        return Contribution()
    from agentvm.claude import CREDENTIALS, claude_contribution, plan_claude, seed_claude

    if settings.config == ISOLATED:
        # What a seed of another mode had set goes. A token that the user passes by name shall not lead to the first page.
        named = passed(host.environment, "", settings.pass_env)
        return claude_contribution(seed_claude(None, places=(), credential=any(name in named for name in CREDENTIALS)))
    copied = settings.config == OVERLAY
    return plan_claude(host, places, () if wanted.is_shell else wanted.arguments, copied=copied)


def _with_section(sharing: Sharing, git: Git) -> Sharing:
    """The copy of ~/.gitconfig with what git found in files that the guest has not; none when git can't read it."""
    files = tuple(_extended(file, git) if file.path == GITCONFIG else file for file in sharing.files)
    return sharing._replace(files=files)


def _extended(file: SyncedFile, git: Git) -> SyncedFile:
    if not git.usable or (file.content is None and not git.section):
        return file._replace(content=None)
    return file._replace(content=(file.content or "") + git.section)


def _agent_notices(settings: Settings, forwards: bool) -> tuple[str, ...]:
    if settings.ssh_agent and not forwards:
        return ("AGENTVM_SSH_AGENT=1, but there is no ssh agent here: SSH_AUTH_SOCK is not set.",)
    return ()
