"""argv -> a command; errors -> messages and exit statuses. The only reader of the environment."""

from __future__ import annotations

import os
import sys

from agentvm import __version__
from agentvm.console import Console

# Not typing's: importing that would cost `--version` more than all the rest.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from agentvm.backend import Backend
    from agentvm.context import Context
    from agentvm.model import Host
    from agentvm.settings import Settings

    MakeBackend = Callable[[Host, Settings, str, Callable[[str], None]], Backend]

_INTERRUPTED = 130
_BUG = 3
_USAGE = 2
_INSTANCE_NAMES = "complete-instances"
"""A command that nobody types: the completions do."""


class Options:
    """The options before the command's name."""

    def __init__(self) -> None:
        self.dry_run = False
        self.verbosity = 0
        self.help = False
        self.version = False


def main(argv: list[str], make: MakeBackend | None = None) -> int:
    """Run one command line (without the program's name) and return its exit status. `make` stands for `make_backend`."""
    console = Console(live=os.isatty(2) and os.environ.get("TERM", "dumb") != "dumb")
    try:
        options, words = parse_options(argv)
        console.verbosity = options.verbosity
        if options.version:
            console.product(f"agentvm {__version__}")
            return 0
        if options.help or not words:
            return _help(console, tuple(words[:1]), options.help)
        if words == [_INSTANCE_NAMES]:
            return _tell_instance_names(console)
        return _dispatch(console, options, words, make or make_backend)
    except KeyboardInterrupt:
        console.fail("interrupted")
        return _INTERRUPTED
    except Exception as problem:
        return _report(console, problem)


def parse_options(argv: list[str]) -> tuple[Options, list[str]]:
    """The options before the command, and the rest as it is: what follows an agent's name is the agent's."""
    options, rest = Options(), list(argv)
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        if word in ("-h", "--help"):
            options.help = True
        elif word in ("-V", "--version"):
            options.version = True
        elif word == "--dry-run":
            options.dry_run = True
        elif word in ("-v", "--verbose"):
            options.verbosity = 1
        elif word in ("-q", "--quiet"):
            options.verbosity = -1
        else:
            from agentvm.errors import UsageError

            raise UsageError(
                f"There is no option {word!r}.{_nearest_option(word)}", "`agentvm --help` shows all of them."
            )
    return options, rest


def _nearest_option(word: str) -> str:
    from agentvm.commands.table import GLOBAL_OPTIONS
    from agentvm.errors import nearest

    return nearest(word, [option.name for option in GLOBAL_OPTIONS])


def read_host() -> Host:
    """The world as it is now. Raises UsageError when the current directory was deleted."""
    from agentvm.errors import UsageError
    from agentvm.model import Host

    try:
        directory = os.getcwd()
    except FileNotFoundError:
        raise UsageError("The current directory was deleted.", "Go to one that is there.") from None
    return Host(
        environment=dict(os.environ),
        home=_home(),
        directory=directory,
        platform=sys.platform,
        user=os.geteuid(),
        stdin_terminal=os.isatty(0),
        stdout_terminal=os.isatty(1),
        stderr_terminal=os.isatty(2),
    )


def _home() -> str:
    """The user's home; without HOME the password database knows it. Raises UsageError when HOME can't be one."""
    from agentvm.errors import UsageError
    from agentvm.paths import find_real

    home = os.environ.get("HOME")
    if home is not None and not os.path.isabs(home):
        raise UsageError(f"HOME={home!r} is not an absolute path.", "Set it to your home directory.")
    return find_real(os.path.expanduser("~"))


def make_backend(host: Host, settings: Settings, state_directory: str, report: Callable[[str], None]) -> Backend:
    if settings.backend == "fake":
        from agentvm.fake import Fake

        return Fake(host, _instances_directory(host, settings), settings.instance_prefix)
    from agentvm.lima.backend import Lima

    return Lima(host, settings, state_directory, report)


def _dispatch(console: Console, options: Options, words: list[str], make: MakeBackend) -> int:
    from agentvm.commands.table import find_command

    command = find_command(words[0])
    arguments = tuple(words[1:])
    own = command.own(arguments)
    if "-h" in own or "--help" in own:
        part = next((word for word in own if command.part(word)), None)
        return _help(console, (command.name, part) if part else (command.name,), asked=True)
    return command.load()(console if command.early else _context(console, options, make), arguments)


def guard_path(host: Host, settings: Settings) -> Host:
    """Start nothing from a directory that guests can write, like an activated environment in the project, nor let a child do it."""
    from agentvm.errors import UsageError
    from agentvm.project import find_project
    from agentvm.sharing import writable_places
    from agentvm.untrusted import split_path

    try:
        project = find_project(host.directory, host.home)
    except UsageError:
        # That there is none here is for the command to say, if it needs one.
        project = None
    path, unsafe = split_path(host.environment.get("PATH", os.defpath), writable_places(host, settings, project))
    return host._replace(environment=host.environment | {"PATH": path}, unsafe_path=unsafe) if unsafe else host


def _context(console: Console, options: Options, make: MakeBackend) -> Context:
    from agentvm.context import Context
    from agentvm.settings import read_settings
    from agentvm.state import State

    host = read_host()
    settings = read_settings(host)
    host = guard_path(host, settings)
    directory = _state_directory(host, settings)
    backend = make(host, settings, directory, console.say)
    context = Context(host, settings, backend, State(directory, console.say), console)
    return context.rehearse() if options.dry_run else context


def _state_directory(host: Host, settings: Settings) -> str:
    root = host.environment.get("XDG_STATE_HOME") or os.path.join(host.home, ".local", "state")
    return os.path.join(root, "agentvm", settings.instance_prefix)


def _help(console: Console, words: tuple[str, ...], asked: bool) -> int:
    from agentvm.commands.layout import lay_out
    from agentvm.commands.pages import find_page

    text = lay_out(find_page(words), console.width())
    if asked:
        console.product(text)
        return 0
    console.fail("what shall I do?")
    console.write(f"{text}\n")
    return _USAGE


def _tell_instance_names(console: Console) -> int:
    """For the completions: quick, since it looks into directories only, and silent whatever is wrong."""
    from agentvm.commands.names import instance_names
    from agentvm.errors import Error
    from agentvm.settings import read_settings

    try:
        host = read_host()
        settings = read_settings(host)
        names = instance_names(_instances_directory(host, settings), settings.instance_prefix)
    except (Error, OSError):
        return 1
    if names:
        console.product("\n".join(names))
    return 0


def _instances_directory(host: Host, settings: Settings) -> str:
    if settings.backend == "fake":
        return settings.fake_dir or os.path.join(_state_directory(host, settings), "fake")
    from agentvm.lima.directory import lima_home

    return lima_home(host)


def _report(console: Console, problem: Exception) -> int:
    from agentvm.errors import Error

    if isinstance(problem, OSError):
        problem = _as_error(problem)
    if isinstance(problem, Error):
        console.fail(problem.message + (f"\n  {problem.hint}" if problem.hint else ""))
        return problem.status
    console.fail(f"this is a bug in agentvm: {problem!r}\n  Please report it with {_keep(problem)}.")
    return _BUG


def _keep(problem: Exception) -> str:
    """The traceback in a file, in words; itself where no file can be written."""
    import tempfile
    import traceback

    try:
        with tempfile.NamedTemporaryFile("w", prefix="agentvm-bug-", suffix=".log", delete=False) as log:
            traceback.print_exception(problem, file=log)
    except OSError:
        return "this:\n" + "".join(traceback.format_exception(problem)).rstrip()
    return f"{log.name}, which tells where it happened"


def _as_error(problem: OSError) -> Exception:
    """What a file system refuses is for the user to mend: a full disk, a directory that root owns, a file in the way."""
    import errno

    from agentvm.errors import Error

    names = "EACCES EPERM EROFS ENOSPC EDQUOT EFBIG ENOTDIR EISDIR ELOOP ENAMETOOLONG EIO EMFILE ENFILE".split()
    if problem.errno not in {getattr(errno, name) for name in names}:
        return problem
    place = f"{os.fsdecode(problem.filename)}: " if isinstance(problem.filename, str | bytes) else ""
    return Error(f"{place}{problem.strerror}.", "Make room or mend its permissions.")
