"""ssh to an instance, by the configuration that Lima writes for it and over the connection that its hostagent keeps."""

from __future__ import annotations

from agentvm.lima.directory import Directory
from agentvm.quoting import join

_OPTIONS = ("-o", "LogLevel=ERROR")


def session_argv(directory: Directory, name: str, terminal: bool, variable: str, command: str) -> tuple[str, ...]:
    """ssh for a session: `variable` travels with it (the guest's sshd accepts it), `command` is its whole command line."""
    send = ("-o", f"SendEnv={variable}")
    return ("ssh", "-F", directory.ssh_config, *_OPTIONS, *send, "-tt" if terminal else "-T", f"lima-{name}", command)


def command_argv(directory: Directory, name: str, words: tuple[str, ...], connect_timeout: int = 20) -> tuple[str, ...]:
    """ssh for one program without a terminal. `words` may be seen in the process list: nothing secret belongs there."""
    time_limit = ("-o", f"ConnectTimeout={connect_timeout}", "-o", "ServerAliveInterval=15")
    return ("ssh", "-F", directory.ssh_config, *_OPTIONS, *time_limit, "-T", f"lima-{name}", join(words))
