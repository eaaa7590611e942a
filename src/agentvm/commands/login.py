"""`agentvm login AGENT`: the agent's own login, inside the VM."""

from __future__ import annotations

from contextlib import nullcontext

from agentvm.agents import CLAUDE, CODEX, OPENCODE
from agentvm.codex import keep_login
from agentvm.commands.arguments import parse
from agentvm.commands.run import run_wanted
from agentvm.context import Context
from agentvm.errors import Error

_COMMANDS = {CLAUDE.name: ("auth", "login"), CODEX.name: ("login",), OPENCODE.name: ("auth", "login")}
_CALLBACK = 1455
"""Codex's own server for the browser's answer listens there (codex-rs/login/src/server.rs), and Lima forwards it."""
_WITHOUT_BROWSER = ("--device-auth", "--with-api-key", "--with-access-token", "status", "--help", "-h")


def login(context: Context, arguments: tuple[str, ...]) -> int:
    """What follows the agent's name goes to the agent's login command."""
    if arguments[:1] == ("gh",):
        raise _gh(context)
    options = parse("login", arguments)
    name, rest = options.agent, options.rest
    if name == CODEX.name and not any(word in _WITHOUT_BROWSER for word in rest) and _is_taken(_CALLBACK):
        context.console.say(
            f"port {_CALLBACK} of this computer is taken, so the browser's answer would not reach the VM; "
            "end what listens there, or use `agentvm login codex --device-auth`"
        )
    with keep_login(context.host) if name == CODEX.name else nullcontext():
        return run_wanted(context, name, (*_COMMANDS[name], *rest), f"login {name}", yolo=False)


def _gh(context: Context) -> Error:
    if context.settings.mount_gh_config:
        return Error("gh's login is shared from this computer.", "Run `gh auth login` here; every VM then has it.")
    return Error("gh has its own login in this VM.", "Run `agentvm gh auth login`.")


def _is_taken(port: int) -> bool:
    """Whether something on this computer's loopback interface listens at a port."""
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
