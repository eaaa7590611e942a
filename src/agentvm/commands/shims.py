"""`agentvm install-shims`: programs named like the agents that run them in a VM."""

from __future__ import annotations

import os

from agentvm import resources
from agentvm.agents import AGENTS
from agentvm.commands.arguments import parse
from agentvm.context import Context
from agentvm.errors import Error
from agentvm.files import write_atomically
from agentvm.quoting import quote

_MARKER = b"# agentvm shim"
_EMPTY = b"agentvm_program=''\n"
_LARGEST = 100_000
DEFAULT = ".local/share/agentvm/shims"


def install_shims(context: Context, arguments: tuple[str, ...]) -> int:
    options = parse("install-shims", arguments)
    wanted = options.dir or os.path.join(context.host.home, DEFAULT)
    directory = os.path.abspath(os.path.join(context.host.directory, wanted))
    paths = {name: os.path.join(directory, name) for name in AGENTS}
    foreign = [path for path in paths.values() if os.path.lexists(path) and not is_shim(path)]
    if foreign and not options.force:
        raise Error(
            f"{', '.join(foreign)} is not a shim of agentvm's, so nothing was written.", "--force overwrites it."
        )
    if not context.dry_run:
        _make(directory)
        for name, path in paths.items():
            _write(path, shim(name, resources.program()))
        context.state.remember_shims(directory)
    context.console.say(f"{'would write' if context.dry_run else 'wrote'} {', '.join(paths)} in {directory}")
    if directory not in context.host.environment.get("PATH", "").split(os.pathsep):
        context.console.say("put this directory first on the PATH, by this line in your shell's start-up file:")
        context.console.product(f'export PATH={quote(directory)}:"$PATH"')
    return 0


def shim(name: str, program: str) -> bytes:
    """The text of one shim that starts `program`, an absolute path."""
    text = resources.read(f"shims/{name}")
    if text.count(_EMPTY) != 1:
        raise ValueError(f"shims/{name} has not one line {_EMPTY!r}")
    return text.replace(_EMPTY, b"agentvm_program=" + os.fsencode(quote(program)) + b"\n")


def is_shim(path: str) -> bool:
    """Whether the file says of itself that it is ours; a link is followed, since a link to a shim is one."""
    try:
        with open(path, "rb") as file:
            lines = file.read(512).split(b"\n")
    except OSError:
        return False
    return len(lines) > 1 and lines[1].startswith(_MARKER)


def is_installed_shim(path: str) -> bool:
    """Whether install-shims wrote it: no link, and not the text in a checkout, which names no program."""
    if os.path.islink(path) or not is_shim(path):
        return False
    with open(path, "rb") as file:
        return _EMPTY not in file.read(_LARGEST)


def _make(directory: str) -> None:
    try:
        os.makedirs(directory, exist_ok=True)
    except OSError as problem:
        raise Error(f"{directory} can't be made: {problem.strerror}.", "Name another directory.") from None


def _write(path: str, content: bytes) -> None:
    part = f"{path}.new"
    write_atomically(part, content)
    os.chmod(part, 0o755)
    os.replace(part, path)
