"""The values that the rest of agentvm speaks in. Nothing here does anything.

They are `NamedTuple`s and not dataclasses since every warm run imports them: `import dataclasses` alone costs
more than starting Python. For the same reason they are our own ones.
"""

from __future__ import annotations

from agentvm.values import Enum, NamedTuple


class Host(NamedTuple):
    """The world as agentvm found it when it started. Only `cli` makes one from the real world."""

    environment: dict[str, str]
    home: str
    directory: str
    """The current directory, without symbolic links."""
    platform: str
    """As `sys.platform`: "linux" or "darwin"."""
    user: int
    """The effective user id."""
    stdin_terminal: bool
    stdout_terminal: bool
    stderr_terminal: bool
    unsafe_path: tuple[str, ...] = ()
    """Directories of the user's PATH that guests can write: taken out of the environment's."""


class Role(Enum):
    """What an instance is for."""

    BASE = "base"
    GOLDEN = "golden"
    PROJECT = "project"
    DRAFT = "draft"
    """A project's VM that is not needed yet, or not any more: it can be deleted at any time."""


class Status(Enum):
    """The state of an instance, as far as agentvm needs to know it."""

    RUNNING = "running"
    """It takes sessions."""
    STARTING = "starting"
    """Its processes live, and nobody has seen it ready yet."""
    STOPPED = "stopped"
    BROKEN = "broken"
    """A part of it died, or it can't be read."""
    INCOMPLETE = "incomplete"
    """Ours, half-made by a run that was killed: it holds nothing and can be deleted."""


class Mount(NamedTuple):
    """A directory of the host that the guest sees at `point`."""

    location: str
    point: str
    writable: bool


class Resources(NamedTuple):
    """What an instance gets of the host's; 0 stands for what the template says."""

    cpus: int = 0
    memory: int = 0
    """Bytes."""
    disk: int = 0
    """Bytes."""


class InstanceSpec(NamedTuple):
    """An instance as we want it."""

    name: str
    prefix: str
    role: Role
    project: str = ""
    """The project's directory; empty for a base."""
    generation: int = 0
    """The number of the golden: its own, or the one that a project was cloned from."""
    mounts: tuple[Mount, ...] = ()
    resources: Resources = Resources()


class Label(NamedTuple):
    """What is written into an instance's own directory: what it is, and when it was made (Unix time, seconds)."""

    spec: InstanceSpec
    created: int
    native: Resources = Resources()
    """What the template gave it: the values to go back to when a setting is taken away."""


class Instance(NamedTuple):
    """An instance as it is. `label` is None for one that is not agentvm's."""

    name: str
    status: Status
    label: Label | None
    detail: str = ""
    """What the backend says about a broken one."""
    newer: str = ""
    """The version of a newer agentvm whose label this one can't read: then it is agentvm's, and still to be left alone."""


class Door(NamedTuple):
    """Where this computer reaches a guest's ssh server on its own loopback interface, as whom, and with which key file."""

    port: int
    user: str
    identity: str


class Usage(NamedTuple):
    """What an instance takes of the host: bytes that its files really have on disk, and since when it runs (Unix time)."""

    disk: int
    since: int = 0
    """0 when it does not run."""


class Command(NamedTuple):
    """A program for the guest, without a terminal: its words, its standard input, and whether root runs it."""

    argv: tuple[str, ...]
    stdin: bytes = b""
    root: bool = False
    timeout: float = 3600
    """Seconds."""


class Session(NamedTuple):
    """A program that takes over the user's streams in the guest, started by a piece of POSIX shell text."""

    script: str
    terminal: bool
    token: str
    """A random word: names the session's process id file in the guest."""
    suspended: str = ""
    """What the guest prints when Ctrl-Z stopped the program."""
    open: bool = False
    """The script holds no secret and may be on a command line: for a guest that isn't provisioned yet."""
    agent: bool = False
    """Forward the user's ssh agent for as long as the session lasts."""


class Contribution(NamedTuple):
    """What one room adds to a session: shell functions, the lines that call them, and what the user is told before it."""

    functions: str = ""
    lines: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


class Certificates(NamedTuple):
    """Certificates of the host's that a guest shall trust."""

    pem: str = ""
    """Each certificate once, one after the other."""
    digest: str = ""
    """Of `pem`: tells whether a guest has it already. Empty without certificates."""
    variables: tuple[str, ...] = ()
    """Those that named a file with certificates."""
    notices: tuple[str, ...] = ()


class Copy(NamedTuple):
    """A file of an agent's settings for a guest. Its name starts with the agent's; `mark` changes whenever the file does."""

    name: str
    executable: bool
    mark: str
    content: bytes = b""


class Copies(NamedTuple):
    """All of them, and what is left out. `token` is another one after each change, and empty when nothing is to be copied."""

    files: tuple[Copy, ...] = ()
    notices: tuple[str, ...] = ()
    token: str = ""


class GitHub(NamedTuple):
    """gh's logins in a guest; `hosts` are those that it has one for."""

    hosts: tuple[str, ...] = ()
    contribution: Contribution = Contribution()


class Finding(NamedTuple):
    """One line of `agentvm doctor`. `verdict` is "ok", "warning" or "error"; `hint` is what mends it, in words."""

    verdict: str
    subject: str
    text: str
    hint: str = ""
    command: str = ""
    """A command line that mends it, if one does."""
