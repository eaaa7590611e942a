"""What of a file's content is executed, as lines: two contents are the same when these are.

Of git's files the executing keys are chosen, since git itself writes the others all day. Of an agent's settings, whose
keys change with every version, all count but those known to be harmless. What can't be parsed counts whole. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from agentvm.digest import sha256
from agentvm.hostprograms import parse_table
from agentvm.tripwire.gitfile import Malformed, executes, read_settings
from agentvm.tripwire.places import Kind

Lines = tuple[str, ...]
_LARGEST = 131_072
"""Bytes of what is parsed: a guest shall not make that take long."""
_MOST = 2000
"""Values of one file."""
_DEEPEST = 40

_HARMLESS = {
    Kind.CLAUDE: frozenset(
        """$schema model theme effortLevel outputStyle language cleanupPeriodDays includeCoAuthoredBy attribution verbose
        alwaysThinkingEnabled editorMode preferredNotifChannel viewMode tui showTurnDuration prefersReducedMotion
        terminalProgressBarEnabled spinnerTipsEnabled spinnerVerbs spinnerTipsOverride feedbackSurveyState
        autoUpdatesChannel lastPlanModeUse autoCompactEnabled""".split()
    ),
    Kind.CODEX: frozenset(
        """model model_reasoning_effort model_reasoning_summary model_verbosity personality tui history notice
        hide_agent_reasoning show_raw_agent_reasoning service_tier disable_paste_burst""".split()
    ),
    Kind.OPENCODE: frozenset(
        """$schema theme model small_model username share autoupdate keybinds tui default_agent disabled_providers
        enabled_providers""".split()
    ),
}
"""Keys at the top that only say how it looks and which model answers."""
_TIMES = frozenset(("lastUpdated", "installedAt"))
_STATE = frozenset(
    ("mcpServers", "hasTrustDialogAccepted", "enabledMcpjsonServers", "allowedTools", "enableAllProjectMcpServers")
)
_FRONT = re.compile(r"\A\s*---[^\n]*\n(.*?)(?:^---|\Z)", re.DOTALL | re.MULTILINE)
# Whatever form of YAML they are in; a backslash may write any of them.
_FRONT_WORDS = re.compile(r"\b(?:hooks|mcpServers|mcp|allowed-tools|tools|permissionMode|permission|shell)\b|\\")
_RUN_MANAGER = re.compile(r'<component name="RunManager".*?</component>', re.DOTALL)
_EXEC = re.compile(r"^\s*(?:x|exec)\s", re.MULTILINE)


def runnable(kind: Kind, name: str, content: bytes) -> Lines:
    """The lines of a file, whose name tells its form, that are executed or decide what is."""
    if b"\0" in content:
        return (f"binary, {len(content)} bytes, sha256 {sha256(content)[:16]}",)
    text = content.decode(errors="surrogateescape")
    if len(content) <= _LARGEST and (choose := _CHOOSERS.get(kind)):
        chosen = choose(name, text)
        if chosen is not None:
            return chosen
    return _whole(text)


def _whole(text: str) -> Lines:
    return tuple(text.removesuffix("\n").split("\n")) if text else ()


def _git(name: str, text: str) -> Lines | None:
    try:
        settings = read_settings(text)
    except Malformed:
        return None
    return tuple(f"{key} = {value}" for key, value in settings if executes(key) and not _is_plain(key, value))


def _is_plain(key: str, value: str) -> bool:
    """What `git init` and `git submodule` write themselves, and what is no program."""
    return (key, value) == ("core.bare", "false") or key.startswith("submodule.") and not value.startswith("!")


def _todo(name: str, text: str) -> Lines:
    return tuple(line for line in _whole(text) if _EXEC.match(line))


def _markdown(name: str, text: str) -> Lines:
    """Hooks, servers and permissions in the front matter, and `!` before a command that is run to fill in the text."""
    front = _FRONT.match(text)
    head = _whole(front[1]) if front and _FRONT_WORDS.search(front[1]) else ()
    return (*head, *(line for line in _whole(text) if "!`" in line or "```!" in line))


def _workspace(name: str, text: str) -> Lines:
    """Of what an IDE writes all day the run configurations, in the form that it writes; else all of it."""
    if "RunManager" in _RUN_MANAGER.sub("", text) or "&#" in text:
        return _whole(text)
    return tuple(line for found in _RUN_MANAGER.finditer(text) for line in _whole(found[0]))


def _table(keeps: Callable[[tuple[str, ...]], bool]) -> Callable[[str, str], Lines | None]:
    def choose(name: str, text: str) -> Lines | None:
        table = parse_table(name, text.encode(errors="surrogateescape"))
        if table is None:
            return None
        try:
            leaves = [(path, value) for path, value in _leaves(table, ()) if keeps(path)]
        except RecursionError:
            return None
        return tuple(f"{'.'.join(path)} = {value}" for path, value in leaves) if len(leaves) <= _MOST else None

    return choose


def _leaves(value: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if len(path) > _DEEPEST:
        raise RecursionError
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, (*path, key))
    elif isinstance(value, list) and value:
        for number, inner in enumerate(value):
            yield from _leaves(inner, (*path, str(number)))
    elif value not in ({}, []):
        yield path, _text(value)


def _text(value: object) -> str:
    import json

    return json.dumps(value, ensure_ascii=False, default=str)


def _beside(kind: Kind) -> Callable[[tuple[str, ...]], bool]:
    return lambda path: path[0] not in _HARMLESS[kind]


def _is_state(path: tuple[str, ...]) -> bool:
    return path[0] in _STATE or path[0] == "projects" and path[2:3] != () and path[2] in _STATE


_CHOOSERS: dict[Kind, Callable[[str, str], Lines | None]] = {
    Kind.GIT: _git,
    Kind.TODO: _todo,
    Kind.MARKDOWN: _markdown,
    Kind.WORKSPACE: _workspace,
    Kind.TABLE: _table(lambda path: path[-1] not in _TIMES),
    Kind.CLAUDE: _table(_beside(Kind.CLAUDE)),
    Kind.CLAUDE_STATE: _table(_is_state),
    Kind.CODEX: _table(_beside(Kind.CODEX)),
    Kind.OPENCODE: _table(_beside(Kind.OPENCODE)),
    # A login at an address makes opencode fetch its configuration from there; others are nothing but keys.
    Kind.OPENCODE_LOGIN: _table(lambda path: "://" in path[0] and path[-1] != "token"),
}
