"""`agentvm settings`: every setting with its value and where that is from. Secrets stay where they are."""

from __future__ import annotations

import json
import os
from typing import Any

from agentvm.commands.arguments import parse
from agentvm.commands.columns import table
from agentvm.commands.layout import Rows, lay_out
from agentvm.context import Context
from agentvm.settings import SETTINGS, Setting, config_path

_HIDDEN = "(set)"
"""What is shown of a value that may hold a token: the output is pasted into reports."""


def show_settings(context: Context, arguments: tuple[str, ...]) -> int:
    options = parse("settings", arguments)
    if options.json:
        context.console.product(json.dumps(_facts(context), indent=2))
        return 0
    context.console.product(_show(context))
    return 0


def show_values(context: Context) -> str:
    """A line for each: the name, the value and where that is from."""
    return table([(name, value, source) for name, value, source in _values(context)])


def _values(context: Context) -> list[tuple[str, str, str]]:
    settings, config = context.settings, config_path(context.host)
    rows = [(s.variable, _value(context, s), settings.sources[s.name]) for s in SETTINGS]
    mounts = ((f"{mount.path}{'' if mount.writable else ' (read-only)'}") for mount in settings.mounts)
    rows += [("mounts", mount, config) for mount in mounts]
    rows += [("pass_env", name, config) for name in settings.pass_env]
    return rows + [("config_links", path, config) for path in settings.config_links]


def _value(context: Context, setting: Setting) -> str:
    """As people write it."""
    value = getattr(context.settings, setting.name)
    if setting.secret and value:
        return _HIDDEN
    return str(int(value) if isinstance(value, bool) else value)


def show_changed(context: Context) -> str:
    """For a terminal: those that are not at their defaults."""
    rows = [row for row in _values(context) if row[2] != "default"]
    shown = _fit(context, rows) if rows else "all are at their defaults"
    return f"{shown}\n`agentvm settings` shows every one"


def _show(context: Context) -> str:
    config = config_path(context.host)
    there = "" if os.path.lexists(config) else " (there is none)"
    return f"{_fit(context, _values(context))}\n\nconfig.toml: {config}{there}"


def _fit(context: Context, rows: list[tuple[str, str, str]]) -> str:
    """The table with the config file as a word, since its path is long, or two lines for each where that is too wide."""
    config, columns = config_path(context.host), context.console.columns()
    rows = [(name, value or "-", "config.toml" if source == config else source) for name, value, source in rows]
    shown = table([("SETTING", "VALUE", "FROM"), *rows])
    if 0 < columns < max(map(len, shown.splitlines())):
        return lay_out((Rows("", ((name, f"{value} ({source})") for name, value, source in rows)),), columns)
    return shown


def _facts(context: Context) -> dict[str, Any]:
    config = config_path(context.host)
    return {
        "schema": 1,
        "config": config,
        "config_exists": os.path.lexists(config),
        "settings": [_fact(context, setting) for setting in SETTINGS],
        "mounts": [mount._asdict() for mount in context.settings.mounts],
        "pass_env": list(context.settings.pass_env),
        "config_links": list(context.settings.config_links),
    }


def _fact(context: Context, setting: Setting) -> dict[str, Any]:
    value, source = getattr(context.settings, setting.name), context.settings.sources[setting.name]
    hidden = bool(setting.secret and value)
    return {
        "name": setting.name,
        "variable": setting.variable,
        "value": None if hidden else value,
        "default": setting.default,
        "source": source if source in ("default", "environment") else "file",
        "hidden": hidden,
        "help": setting.help,
    }
