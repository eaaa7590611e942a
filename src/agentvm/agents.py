"""The agents, as a table: how each is installed, which flag lets it act without asking, and what it needs around it.

What is said here of flags, packages and variables was found by running claude 2.1, codex 0.169 and opencode 1.18.
"""

from __future__ import annotations

from typing import NamedTuple

NPM_PREFIX = ".local/share/agentvm/npm"
"""Where npm installs agents, below the guest's home: on the guest's own disk, since a mount carries host binaries."""

_GITHUB = ("GH_TOKEN", "GITHUB_TOKEN", "GH_HOST", "GH_ENTERPRISE_TOKEN")
_ANTHROPIC = (
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_BASE_URL",
    "ANTHROPIC_MODEL",
    "ANTHROPIC_SMALL_FAST_MODEL",
    "CLAUDE_CODE_OAUTH_TOKEN",
)
_OPENAI = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORGANIZATION", "OPENAI_PROJECT", "CODEX_API_KEY")
_PROVIDERS = (
    "OPENROUTER_API_KEY",
    "GEMINI_API_KEY",
    "GROQ_API_KEY",
    "MISTRAL_API_KEY",
    "XAI_API_KEY",
    "DEEPSEEK_API_KEY",
)
TERMINAL_VARIABLES = ("COLORTERM", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "COLORFGBG")


class Agent(NamedTuple):
    """A program that agentvm runs in a guest and installs there when it is missing."""

    name: str
    package: str = ""
    """The npm package; empty for a program that comes from the distribution."""
    completion: str = ""
    """A script of the package that finishes an installation whose install scripts npm did not run (npm 12 blocks them)."""
    passes: tuple[str, ...] = ()
    """Variables of the host that this program gets when they are set. Everything else stays outside."""
    guest_environment: tuple[tuple[str, str], ...] = ()
    """Variables that are always set; "~/" at the front of a value is the guest's home."""
    directories: tuple[str, ...] = ()
    """Directories below the guest's home that must be there before it starts."""


CLAUDE = Agent(
    "claude",
    "@anthropic-ai/claude-code",
    "install.cjs",
    _ANTHROPIC + _GITHUB,
    # Its own updater would replace what agentvm installed and proved.
    (("DISABLE_AUTOUPDATER", "1"),),
)
CODEX = Agent(
    "codex",
    "@openai/codex",
    "",
    _OPENAI + _GITHUB,
    # Six live databases: on a directory that host and guest share they get corrupted.
    (("CODEX_SQLITE_HOME", "~/.local/state/agentvm/codex"),),
    (".local/state/agentvm/codex",),
)
OPENCODE = Agent(
    "opencode",
    "opencode-ai",
    "postinstall.mjs",
    _ANTHROPIC + _OPENAI + _PROVIDERS + _GITHUB,
    (("OPENCODE_DISABLE_AUTOUPDATE", "1"),),
)
GH = Agent("gh", passes=_GITHUB)

AGENTS = {agent.name: agent for agent in (CLAUDE, CODEX, OPENCODE)}
PROGRAMS = AGENTS | {GH.name: GH}

_CLAUDE_FLAG = "--dangerously-skip-permissions"
_CODEX_FLAG = "--dangerously-bypass-approvals-and-sandbox"
_OPENCODE_FLAG = "--auto"
_OPENCODE_ALLOW = ("OPENCODE_PERMISSION", '{"*":"allow"}')
_OPENCODE_SERVERS = frozenset(("serve", "web", "acp"))
_OPENCODE_COMMANDS = _OPENCODE_SERVERS | frozenset(
    """agent attach auth completion console db debug export github import login logout mcp models plug plugin pr providers
    run session stats uninstall upgrade""".split()
)
_OPENCODE_VALUES = frozenset(
    (
        "-m",
        "--model",
        "-s",
        "--session",
        "--prompt",
        "--agent",
        "--port",
        "--hostname",
        "--log-level",
        "--cors",
        "--mdns-domain",
    )
)


class Yolo(NamedTuple):
    """What AGENTVM_YOLO=1 makes of an agent's arguments: the new ones, variables for the guest, and what to tell the user."""

    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    added: str = ""


def add_bypass(agent: Agent, arguments: tuple[str, ...]) -> Yolo:
    """Put the agent's own bypass flag where this agent takes it; nothing is added twice, nor where it means nothing.

    claude and codex take it right after their own name, whatever follows. opencode takes `--auto` only without a
    subcommand or after `run` (before one it would be read as a directory's name); its servers take a variable.
    """
    if agent is CLAUDE:
        return _add_first(_CLAUDE_FLAG, arguments, (_CLAUDE_FLAG,))
    if agent is CODEX:
        return _add_first(_CODEX_FLAG, arguments, (_CODEX_FLAG, "--yolo"))
    if agent is OPENCODE:
        return _add_opencode(arguments)
    return Yolo(arguments)


def _add_first(flag: str, arguments: tuple[str, ...], same: tuple[str, ...]) -> Yolo:
    if any(word in same for word in _options(arguments)):
        return Yolo(arguments)
    return Yolo((flag, *arguments), added=flag)


def _options(arguments: tuple[str, ...]) -> tuple[str, ...]:
    return arguments[: arguments.index("--")] if "--" in arguments else arguments


def _add_opencode(arguments: tuple[str, ...]) -> Yolo:
    place = _opencode_command(arguments)
    command = arguments[place] if place is not None else ""
    if command in _OPENCODE_SERVERS:
        return Yolo(arguments, (_OPENCODE_ALLOW,), f"{_OPENCODE_ALLOW[0]} (it overrides your own deny rules)")
    if command not in ("", "run"):
        return Yolo(arguments)
    if any(word in (_OPENCODE_FLAG, "--yolo", _CLAUDE_FLAG) for word in _options(arguments)):
        return Yolo(arguments)
    at = place + 1 if place is not None else 0
    return Yolo((*arguments[:at], _OPENCODE_FLAG, *arguments[at:]), added=_OPENCODE_FLAG)


def _opencode_command(arguments: tuple[str, ...]) -> int | None:
    """Where opencode's subcommand stands, if there is one: the first word that is neither an option nor its value."""
    skip = False
    for place, word in enumerate(_options(arguments)):
        if skip:
            skip = False
        elif word in _OPENCODE_VALUES:
            skip = True
        elif not word.startswith("-"):
            return place if word in _OPENCODE_COMMANDS else None
    return None
