"""ssh to an instance, by the configuration that Lima writes for it, over a shared connection of our own.

Not over the one that Lima's hostagent keeps: the master of a shared connection only passes on the variables that it was
itself started with (ssh's mux.c), and Lima's knows nothing of ours.
"""

from __future__ import annotations

from agentvm.lima.directory import Directory
from agentvm.model import Door
from agentvm.quoting import join

_ALIVE = ("-o", "ConnectTimeout=20", "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4")
"""A guest that does not answer for a minute is given up."""


def master_argv(directory: Directory, name: str, variable: str) -> tuple[str, ...]:
    """ssh that goes to the background as the master of the shared connection, once that stands."""
    share = ("-o", "ControlMaster=yes", "-o", "ControlPersist=yes", "-o", f"SendEnv={variable}")
    return (*_ssh(directory), *share, *_ALIVE, "-N", "-f", f"lima-{name}")


def session_argv(
    directory: Directory, name: str, terminal: bool, variable: str, command: str, agent: bool
) -> tuple[str, ...]:
    """ssh for a session: `variable` travels with it (the guest's sshd accepts it), `command` is its whole command line.

    With the user's ssh agent it is a connection of its own: the master of a shared one would forward the agent that was
    there when that was opened (ssh's mux.c), days ago perhaps.
    """
    send = ("-o", "ControlMaster=no", "-o", f"SendEnv={variable}", "-tt" if terminal else "-T")
    forwarded = ("-o", "ForwardAgent=yes") if agent else ()
    # For the shared one too: when its master ends just now, ssh makes a connection of its own instead.
    return (*_ssh(directory, shared=not agent), *_ALIVE, *forwarded, *send, f"lima-{name}", command)


def command_argv(directory: Directory, name: str, words: tuple[str, ...]) -> tuple[str, ...]:
    """ssh for one program without a terminal. `words` may be seen in the process list: nothing secret belongs there."""
    return (*_ssh(directory), *_ALIVE, "-o", "ControlMaster=no", "-T", f"lima-{name}", join(words))


def read_door(text: str) -> Door | None:
    """What Lima's configuration for ssh says; None when there is none, or it is not as Lima writes it."""
    import re

    found = dict(re.findall(r'^ +(User|IdentityFile|Port) "?([^"\n]+?)"?$', text, re.MULTILINE))
    if len(found) < 3 or not found["Port"].isdecimal():
        return None
    return Door(int(found["Port"]), found["User"], found["IdentityFile"])


def _ssh(directory: Directory, shared: bool = True) -> tuple[str, ...]:
    # Not as an option, which would end at a space and be read for quotes; "%" begins a token of ssh's all the same.
    path = directory.master.replace("%", "%%") if shared else "none"
    return ("ssh", "-F", directory.ssh_config, "-o", "LogLevel=ERROR", "-S", path)
