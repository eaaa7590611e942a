"""`agentvm ssh-config`: ssh, scp and editors find the VMs by their names."""

from __future__ import annotations

import os
import socket
import threading

from agentvm import sshfile
from agentvm.commands.arguments import parse
from agentvm.commands.target import named_instance
from agentvm.context import Context
from agentvm.errors import Error
from agentvm.files import hold
from agentvm.model import Door, Status

_LARGEST = 65536


def ssh_config(context: Context, arguments: tuple[str, ...]) -> int:
    options = parse("ssh-config", arguments)
    if options.connect is not None:
        return _connect(context, options.connect)
    if not options.install:
        context.console.product(sshfile.render(context).rstrip("\n"))
        return 0
    return _install(context)


def _install(context: Context) -> int:
    line = sshfile.include_line(context.state.ssh_file)
    if context.dry_run:
        context.console.say(f"would write {context.state.ssh_file}")
    else:
        sshfile.write(context)
    shown = os.path.join(context.host.home, ".ssh", "config")
    try:
        added = _include(context)
    except Error:
        context.console.say(f"this line is to be at the top of {shown}:")
        context.console.product(line)
        raise
    word = "would have" if context.dry_run else "has"
    context.console.say(f"{shown} {word} the line `{line}`" if added else f"{shown} includes it already")
    if not context.dry_run:
        context.console.say("`ssh`, `scp` and editors know the VMs by their names now; agentvm keeps them up to date")
    return 0


def _include(context: Context) -> bool:
    """One after the other, so that none finds the file changed under its hands."""
    if context.dry_run:
        return sshfile.include(context)
    with hold(f"{context.state.ssh_file}.lock"):
        return sshfile.include(context)


def _connect(context: Context, name: str) -> int:
    """Be the connection of one ssh. Its VM is in use meanwhile."""
    named_instance(context, name)
    with context.state.use(name, "ssh"):
        actual = named_instance(context, name)
        if actual.status is not Status.RUNNING:
            where = actual.label.spec.project if actual.label else ""
            raise Error(f"{name} is {actual.status.value}.", f"`agentvm shell -- true` in {where} brings it up.")
        door = context.backend.door(name)
        if door is None:
            raise Error(f"{name} has no ssh.", "`agentvm stop` it and try again.")
        _relay(door)
    return 0


def _relay(door: Door) -> None:
    """Pass bytes on until one side has no more. What ssh sends is passed on by a thread, so that neither waits for the other."""
    try:
        connection = socket.create_connection(("127.0.0.1", door.port), timeout=20)
    except OSError as problem:
        raise Error(f"The VM's ssh does not answer: {problem}.", "`agentvm doctor` looks for problems.") from None
    connection.settimeout(None)
    with connection:
        threading.Thread(target=_send, args=(connection,), daemon=True).start()
        while data := connection.recv(_LARGEST):
            view = memoryview(data)
            while view:
                view = view[os.write(1, view) :]


def _send(connection: socket.socket) -> None:
    try:
        while data := os.read(0, _LARGEST):
            connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
    except OSError:
        # The other direction ends, too, and tells.
        return
