"""ssh to an instance, by the configuration that Lima writes for it, over a shared connection of our own.

Not over the one that Lima's hostagent keeps: the master of a shared connection only passes on the variables that it was
itself started with (ssh's mux.c), and Lima's knows nothing of ours.
"""

from __future__ import annotations

from agentvm.lima.directory import Directory
from agentvm.quoting import join


def master_argv(directory: Directory, name: str, variable: str) -> tuple[str, ...]:
    """ssh that goes to the background as the master of the shared connection, once that stands.

    It ends by itself when the guest has not answered for a minute.
    """
    alive = ("-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4", "-o", "ConnectTimeout=20")
    share = ("-o", "ControlMaster=yes", "-o", "ControlPersist=yes", "-o", f"SendEnv={variable}")
    return (*_ssh(directory), *share, *alive, "-N", "-f", f"lima-{name}")


def session_argv(directory: Directory, name: str, terminal: bool, variable: str, command: str) -> tuple[str, ...]:
    """ssh for a session: `variable` travels with it (the guest's sshd accepts it), `command` is its whole command line."""
    send = ("-o", "ControlMaster=no", "-o", f"SendEnv={variable}")
    return (*_ssh(directory), *send, "-tt" if terminal else "-T", f"lima-{name}", command)


def command_argv(directory: Directory, name: str, words: tuple[str, ...]) -> tuple[str, ...]:
    """ssh for one program without a terminal. `words` may be seen in the process list: nothing secret belongs there."""
    limits = ("-o", "ControlMaster=no", "-o", "ConnectTimeout=20", "-o", "ServerAliveInterval=15")
    return (*_ssh(directory), *limits, "-T", f"lima-{name}", join(words))


def _ssh(directory: Directory) -> tuple[str, ...]:
    return ("ssh", "-F", directory.ssh_config, "-o", "LogLevel=ERROR", "-o", f"ControlPath={directory.master}")
