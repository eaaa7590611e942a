"""The port, in memory that lasts: a backend without machines, for trying the command line out and for tests.

It keeps a dictionary of instances in a directory and refuses what Lima refuses. A guest is a home directory on this
computer: what a user's session does there is really done, by a real sh. What root would do in a guest is only written
down, since here it would be done to this computer.

A guest's ports are this computer's, so all of them are reached, but for those in `taken`. Nobody is behind a guest's
door: the file `door` in its directory holds the port of whoever a test puts there.

In the directory: `NAME/` for each instance (with `home/`, which is the guest's disk, `making`, the prefix that it was
made for, `root.log`, what root was told, `running/`, the processes of its sessions, which end with the machine, and
perhaps `stale.sock`, which stands for the socket of a dead process); `bin/`, which is first on every guest's PATH;
`failures`, lines of an exit status and a text: a command of root's that contains the text ends with that status; and
`waits`, lines of text: a command of root's that contains one takes until it is not there any more.
"""

from __future__ import annotations

import fcntl
import glob
import os
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress

from agentvm import process, terminal
from agentvm.errors import Error, UsageError
from agentvm.files import allocated, hold, make_private_directory, remove_file, write_atomically
from agentvm.guest_shell import VARIABLE
from agentvm.label import carried_prefix, dump_label, load_label, newer_version
from agentvm.model import (
    Command,
    Door,
    Finding,
    Host,
    Instance,
    InstanceSpec,
    Label,
    Resources,
    Session,
    Status,
    Usage,
)
from agentvm.session import STARTER, signal_script
from agentvm.values import NamedTuple

_LONGEST_NAME = 59
_NATIVE = Resources(2, 2 * 2**30, 8 * 2**30)
_PATH = "/usr/local/bin:/usr/bin:/bin"
_TICK = 0.05
_LOST = 255
"""What ssh returns when the machine ends under it."""


class _Place(NamedTuple):
    """The directory of one fake instance."""

    path: str

    def file(self, name: str) -> str:
        return os.path.join(self.path, name)

    def read(self, name: str) -> bytes:
        try:
            with open(self.file(name), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return b""

    def write(self, name: str, content: bytes) -> None:
        write_atomically(self.file(name), content)

    def end_sessions(self) -> None:
        """Kill what runs in the guest. A file that nobody holds is a former session's, whose number may be another's now."""
        for path in glob.glob(self.file("running/*")):
            with suppress(ProcessLookupError), open(path, "rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.killpg(int(os.path.basename(path)), signal.SIGKILL)
            remove_file(path)

    @property
    def label(self) -> Label | None:
        return load_label(self.read("agentvm.json"), os.path.basename(self.path))


class Fake:
    """Instances in `directory`."""

    gateway = "host.fake.internal"
    variables: tuple[str, ...] = ("AGENTVM_BACKEND", "AGENTVM_FAKE_DIR")

    def __init__(self, host: Host, directory: str, prefix: str) -> None:
        self._host = host
        self._directory = directory
        self._prefix = prefix

    def validate(self, spec: InstanceSpec) -> None:
        from agentvm.lima.template import check_mount

        if len(spec.name) > _LONGEST_NAME:
            raise UsageError(f"The name {spec.name} is too long.", "Shorten AGENTVM_INSTANCE_PREFIX.")
        for mount in spec.mounts:
            check_mount(mount, "9p", self._host.platform)

    def find(self, name: str) -> Instance | None:
        place = self._place(name)
        return self._instance(place) if os.path.isdir(place.path) else None

    def list(self) -> tuple[Instance, ...]:
        try:
            names = sorted(os.listdir(self._directory))
        except FileNotFoundError:
            return ()
        places = (self._place(name) for name in names if name != "bin" and not name.startswith("."))
        return tuple(self._instance(place) for place in places if os.path.isdir(place.path))

    def create(self, spec: InstanceSpec, template: str) -> None:
        place = self._new(spec)
        os.mkdir(place.file("home"), 0o700)
        self._finish(place, Label(spec, int(time.time()), _NATIVE))

    def clone(self, source: str, spec: InstanceSpec) -> None:
        origin = self._expect(source, Status.STOPPED)
        native = origin.label.native if origin.label else _NATIVE
        _check_disk(spec, native.disk)
        import shutil

        place = self._new(spec)
        try:
            shutil.copytree(origin.file("home"), place.file("home"), symlinks=True)
        except shutil.Error as problem:
            raise Error(f"{source} could not be copied: {problem.args[0][0][2]}", "Make room, and try again.") from None
        self._finish(place, Label(spec, int(time.time()), native))

    def reconfigure(self, spec: InstanceSpec) -> None:
        place = self._expect(spec.name, Status.STOPPED)
        label = self._label(place)
        _check_disk(spec, max(label.native.disk, label.spec.resources.disk) if spec.resources.disk else 0)
        place.write("agentvm.json", dump_label(label._replace(spec=spec)))

    def start(self, name: str) -> None:
        place = self._expect(name, Status.STOPPED, Status.STARTING, Status.RUNNING)
        self._label(place)
        place.write("status", Status.RUNNING.value.encode())

    def stop(self, name: str, force: bool = False) -> None:
        place = self._place(name)
        if not force:
            self._expect(name, Status.STOPPED, Status.RUNNING, Status.STARTING)
        place.write("status", Status.STOPPED.value.encode())
        place.end_sessions()

    def delete(self, name: str) -> None:
        place = self._place(name)
        if os.path.isdir(place.path):
            self._expect(name, Status.STOPPED, Status.INCOMPLETE)
            import shutil

            # First what says that it is whole, last whose it is.
            rank = {"agentvm.json": 0, "making": 2}
            for entry in sorted(os.listdir(place.path), key=lambda entry: rank.get(entry, 1)):
                path = place.file(entry)
                (shutil.rmtree if os.path.isdir(path) else os.unlink)(path)
            os.rmdir(place.path)

    def progress(self, name: str) -> str:
        return ""

    def run(self, name: str, command: Command, output: Callable[[bytes], None]) -> int:
        place = self._expect(name, Status.RUNNING)
        if command.root:
            return self._write_down(place, command, output)
        environment = self._environment(place)
        return process.stream(command.argv, environment, output, timeout=command.timeout, stdin=command.stdin)

    def session(self, name: str, session: Session) -> int:
        place = self._expect(name, Status.RUNNING)
        environment = {**self._environment(place), VARIABLE: session.script}
        if session.agent:
            environment["SSH_AUTH_SOCK"] = self._host.environment.get("SSH_AUTH_SOCK", "")
        argv: tuple[str, ...] = ("/bin/sh", "-c", session.script if session.open else STARTER)
        if session.terminal:
            argv = process.on_terminal(argv)

        def send(signal_name: str) -> bool:
            words = ("/bin/sh", "-c", signal_script(session.token, signal_name))
            return process.run(words, environment, timeout=10).status == 0

        with ExitStack() as held:

            def spawn(streams: terminal.Streams) -> int:
                if session.terminal:
                    # As with a real one: what a guest says as an error comes through its terminal, too.
                    streams = (streams[0], streams[1], streams[1])
                pid = process.spawn(argv, environment, streams, own_group=not session.terminal)
                held.enter_context(hold(own := place.file(f"running/{pid}")))
                held.callback(remove_file, own)
                return pid

            status = terminal.attend(terminal.Guest(spawn, send), session.terminal, session.suspended.encode())
        found = self.find(name)
        return status if found and found.status is Status.RUNNING else _LOST

    def pipe(self, name: str, words: tuple[str, ...]) -> AbstractContextManager[process.Piped]:
        return process.piped(words, self._environment(self._expect(name, Status.RUNNING)))

    def door(self, name: str) -> Door | None:
        place = self._place(name)
        port = place.read("door")
        return Door(int(port), "guest", place.file("identity")) if port else None

    def forwarded(self, name: str) -> frozenset[int]:
        from agentvm.listeners import listening_here

        self._expect(name, Status.RUNNING)
        taken = frozenset(map(int, _Place(self._directory).read("taken").split()))
        return listening_here(self._host.environment) - taken

    def copy_home(self, source: str, target: str, passed: Callable[[int], None]) -> None:
        from agentvm import homecopy

        origin, place = self._expect(source, Status.RUNNING), self._expect(target, Status.RUNNING)
        if self._label(place).spec.mounts:
            raise Error(f"{target} has mounts, which must not be written over.", "Try again.")
        pack, unpack = (
            ("/bin/sh", "-c", script, "sh", one.file("home"))
            for script, one in ((homecopy.PACK, origin), (homecopy.UNPACK, place))
        )
        homecopy.copy_home(pack, unpack, {"PATH": _PATH}, passed)

    def measure(self, name: str) -> Usage:
        place = self._place(name)
        since = os.stat(place.file("status")).st_mtime if place.read("status") == b"running" else 0
        return Usage(allocated(place.path), int(since))

    def tidy(self, name: str, rehearse: bool = False) -> tuple[str, ...]:
        stale = self._place(name).file("stale.sock")
        if not os.path.lexists(stale):
            return ()
        if not rehearse:
            remove_file(stale)
        return (stale,)

    def check(self) -> tuple[Finding, ...]:
        return (
            Finding(
                "warning",
                "backend",
                "the fake one: no machine, no protection",
                "unset AGENTVM_BACKEND",
                "unset AGENTVM_BACKEND",
            ),
        )

    def _place(self, name: str) -> _Place:
        return _Place(os.path.join(self._directory, name))

    def _instance(self, place: _Place) -> Instance:
        name, label = os.path.basename(place.path), place.label
        newer = "" if label else newer_version(place.read("agentvm.json"))
        marks = (place.read("making").decode(), carried_prefix(place.read("agentvm.json")))
        if label is None and not newer and (self._prefix in marks or not os.listdir(place.path)):
            return Instance(name, Status.INCOMPLETE, None)
        return Instance(name, Status(place.read("status").decode() or "broken"), label, newer=newer)

    def _expect(self, name: str, *statuses: Status) -> _Place:
        instance = self.find(name)
        if instance is None:
            raise Error(f"{name} is gone: it was deleted by somebody else.", "Run the command again to make a new one.")
        if instance.status not in statuses:
            raise Error(f"{name} is {instance.status.value}.", "`agentvm list` shows what is there.")
        return self._place(name)

    def _label(self, place: _Place) -> Label:
        if (label := place.label) is None:
            raise Error(
                f"{os.path.basename(place.path)} is not an instance of agentvm.", "`agentvm list` shows those that are."
            )
        return label

    def _new(self, spec: InstanceSpec) -> _Place:
        place = self._place(spec.name)
        if os.path.exists(place.path):
            raise Error(f"There is an instance {spec.name} already.", "`agentvm list` shows what is there.")
        # It appears with the word whose it is, as Lima's do.
        hidden = self._place(f".{spec.name}")
        make_private_directory(hidden.path)
        hidden.write("making", spec.prefix.encode())
        os.rename(hidden.path, place.path)
        return place

    def _finish(self, place: _Place, label: Label) -> None:
        place.write("status", Status.STOPPED.value.encode())
        place.write("agentvm.json", dump_label(label))

    def _write_down(self, place: _Place, command: Command, output: Callable[[bytes], None]) -> int:
        text = " ".join(command.argv).encode(errors="surrogateescape") + b"\n" + command.stdin
        with open(place.file("root.log"), "ab") as log:
            log.write(text + b"\n")
        status = next((status for status, part in self._failures() if part in text), 0)
        output(
            b"(fake) root was told to do this, and it was written down\n" if status == 0 else b"(fake) failed as told\n"
        )
        while any(line and line in text for line in _Place(self._directory).read("waits").splitlines()):
            time.sleep(_TICK)
        return status

    def _failures(self) -> tuple[tuple[int, bytes], ...]:
        lines = _Place(self._directory).read("failures").splitlines()
        pairs = (line.partition(b" ") for line in lines if line.strip())
        return tuple((int(status), part) for status, _, part in pairs)

    def _environment(self, place: _Place) -> dict[str, str]:
        path = f"{os.path.join(self._directory, 'bin')}:{_PATH}"
        given = {name: value for name, value in self._host.environment.items() if name in ("TERM", "LANG", "TMPDIR")}
        return {**given, "HOME": place.file("home"), "PATH": path, "SHELL": "/bin/sh", "USER": "guest"}


def _check_disk(spec: InstanceSpec, have: int) -> None:
    if 0 < spec.resources.disk < have:
        raise UsageError(
            f"AGENTVM_DISK is smaller than the disk of {spec.name}, which can only grow.", "Raise it, or unset it."
        )
