"""How an agent is started: the words and variables that AGENTVM_YOLO=1 and the host's login make of the user's own.

Everything here was found by running claude 2.1.330, codex 0.169.0 and opencode 1.18.33.

- claude asks twice before it acts alone: whether the directory is trusted, and whether its warning was read. Both have an
  answer for one session only, so nothing stays answered when YOLO is off again. `CLAUDE_CODE_SANDBOXED=1`
  (undocumented) stands for trust: in the bundle all but one of its uses are questions about trust, and nothing is written down.
  `skipDangerousModePermissionPrompt` answers the warning; the last `--settings` wins, so one of the user's own
  is left alone.
- codex looks for trust at the current directory, the root of its work tree, and the main work tree of a linked one, but at
  nothing else above the current directory. Of `-c` it takes a whole table, but no dotted key with a path in it.
  With `-s` or `exec --approve-for-me` the bypass flag would win without a word, with `-a` codex would not start.
- opencode takes `--auto` only without a subcommand or after `run` (before one it would be read as a directory's name); its
  servers take a variable.
"""

from __future__ import annotations

import os

from agentvm.agents import CLAUDE, CODEX, OPENCODE, Agent
from agentvm.paths import is_below
from agentvm.project import Project
from agentvm.values import NamedTuple

_CLAUDE_FLAG = "--dangerously-skip-permissions"
_CLAUDE_SETTINGS = ("--settings", '{"skipDangerousModePermissionPrompt":true}')
_CLAUDE_TRUST = ("CLAUDE_CODE_SANDBOXED", "1")
_CODEX_FLAG = "--dangerously-bypass-approvals-and-sandbox"
_CODEX_FLAGS = (_CODEX_FLAG, "--yolo")
_CODEX_KEYS = ("approval_policy", "sandbox_mode")
_CODEX_FILE = ("-c", "cli_auth_credentials_store=file")
_OPENCODE_FLAG = "--auto"
_OPENCODE_FLAGS = (_OPENCODE_FLAG, "--yolo", _CLAUDE_FLAG)
_OPENCODE_ALLOW = ("OPENCODE_PERMISSION", '{"*":"allow"}')
_OPENCODE_SERVERS = frozenset(("serve", "web", "acp"))
_OPENCODE_COMMANDS = _OPENCODE_SERVERS | frozenset(
    """agent attach auth completion console db debug export github import login logout mcp models plug plugin pr providers
    run session stats uninstall upgrade""".split()
)
_OPENCODE_VALUES = frozenset(
    "-m --model -s --session --prompt --agent --port --hostname --log-level --cors --mdns-domain".split()
)


class Launch(NamedTuple):
    """An agent's arguments, the variables it gets beside the passed ones, and what to tell the user."""

    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    notices: tuple[str, ...] = ()


def plan_launch(
    agent: Agent, arguments: tuple[str, ...], *, yolo: bool, places: tuple[str, ...], codex_keyring: bool = False
) -> Launch:
    """What to start. Without YOLO nothing is added, but for a codex whose login is in the host's keyring.

    `places` are the directories that YOLO trusts for this session, see `find_places`. A keyring is not there in a guest,
    and codex gives up when its configuration names one; a file is.
    """
    launch = Launch(arguments)
    if yolo and agent.name == CLAUDE.name:
        launch = _claude(arguments)
    elif yolo and agent.name == CODEX.name:
        launch = _codex(arguments, places)
    elif yolo and agent.name == OPENCODE.name:
        launch = _opencode(arguments)
    if codex_keyring and agent.name == CODEX.name:
        return launch._replace(arguments=(*_CODEX_FILE, *launch.arguments))
    return launch


def find_places(project: Project, directory: str) -> tuple[str, ...]:
    """Where agents look for what is known of a project: its root, each directory from there to the current one, and the
    main work tree of a linked one."""
    places = [project.root]
    if is_below(directory, project.root) and directory != project.root:
        for part in os.path.relpath(directory, project.root).split("/"):
            places.append(os.path.join(places[-1], part))
    if os.path.basename(project.git_directory) == ".git":
        places.append(os.path.dirname(project.git_directory))
    return tuple(places)


def _adds(*what: str) -> tuple[str, ...]:
    return (f"AGENTVM_YOLO=1 adds {' and '.join(what)}",) if what else ()


def _options(arguments: tuple[str, ...]) -> tuple[str, ...]:
    return arguments[: arguments.index("--")] if "--" in arguments else arguments


def _find(options: tuple[str, ...], names: tuple[str, ...]) -> str:
    """The first of these options that is given, by its name; also as `--name=value` and `-nVALUE`."""
    for word in options:
        for name in names:
            short = not name.startswith("--") and not word.startswith("--") and word.startswith(name)
            if word == name or short or word.startswith(f"{name}="):
                return name
    return ""


# --- claude ------------------------------------------------------------------------------------------------------------


def _claude(arguments: tuple[str, ...]) -> Launch:
    options = _options(arguments)
    if theirs := _find(options, ("--permission-mode", "--restricted")):
        return Launch(arguments, notices=(f"your own {theirs} wins over AGENTVM_YOLO=1, which adds nothing",))
    flags = () if _CLAUDE_FLAG in options else (_CLAUDE_FLAG,)
    if _find(options, ("--settings",)):
        (said,) = _adds(*flags, "=".join(_CLAUDE_TRUST))
        said += "; your own --settings stays alone, so claude may ask whether to bypass permissions"
        return Launch((*flags, *arguments), (_CLAUDE_TRUST,), (said,))
    notices = _adds(*flags, " ".join(_CLAUDE_SETTINGS), "=".join(_CLAUDE_TRUST))
    return Launch((*flags, *_CLAUDE_SETTINGS, *arguments), (_CLAUDE_TRUST,), notices)


# --- codex -------------------------------------------------------------------------------------------------------------


def _codex(arguments: tuple[str, ...], places: tuple[str, ...]) -> Launch:
    options = _options(arguments)
    trust = _codex_trust(places)
    if theirs := _codex_conflict(options):
        said = f"your own {theirs} wins over AGENTVM_YOLO=1, which does not add {_CODEX_FLAG}"
        return Launch((*trust, *arguments), notices=(said,))
    flags = () if any(word in _CODEX_FLAGS for word in options) else (_CODEX_FLAG,)
    told = ("-c projects={…} (this project is trusted)",) if trust else ()
    return Launch((*flags, *trust, *arguments), notices=_adds(*flags, *told))


def _codex_conflict(options: tuple[str, ...]) -> str:
    if found := _find(options, ("--ask-for-approval", "--sandbox", "--approve-for-me", "-a", "-s")):
        return found
    keys = (value.partition("=")[0].strip() for value in _codex_overrides(options))
    return next((f"-c {key}" for key in keys if key in _CODEX_KEYS), "")


def _codex_overrides(options: tuple[str, ...]) -> list[str]:
    """The values of `-c` and `--config`, each of which may be a word of its own or not."""
    found: list[str] = []
    for before, word in zip(("", *options), options, strict=False):
        if before in ("-c", "--config"):
            found.append(word)
        elif word.startswith("--config="):
            found.append(word.removeprefix("--config="))
        elif word.startswith("-c"):
            found.append(word.removeprefix("-c"))
    return found


def _codex_trust(places: tuple[str, ...]) -> tuple[str, ...]:
    entries = [f'{text}={{trust_level="trusted"}}' for text in map(_toml, places) if text]
    return ("-c", f"projects={{{','.join(entries)}}}") if entries else ()


def _toml(text: str) -> str:
    """A basic string of TOML; empty for what TOML can't hold, a path that is not UTF-8."""
    if any("\ud800" <= char <= "\udfff" for char in text):
        return ""
    return '"' + "".join(_toml_character(char) for char in text) + '"'


def _toml_character(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    return f"\\u{ord(char):04x}" if char < " " or char == "\x7f" else char


# --- opencode ----------------------------------------------------------------------------------------------------------


def _opencode(arguments: tuple[str, ...]) -> Launch:
    place = _opencode_command(arguments)
    command = arguments[place] if place is not None else ""
    if command in _OPENCODE_SERVERS:
        said = _adds(f"{_OPENCODE_ALLOW[0]} (it overrides your own deny rules)")
        return Launch(arguments, (_OPENCODE_ALLOW,), said)
    if command not in ("", "run") or any(word in _OPENCODE_FLAGS for word in _options(arguments)):
        return Launch(arguments)
    at = place + 1 if place is not None else 0
    return Launch((*arguments[:at], _OPENCODE_FLAG, *arguments[at:]), notices=_adds(_OPENCODE_FLAG))


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
