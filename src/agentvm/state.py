"""State files and locks: who works on an instance, who uses it, and where logs go. Nothing here outlives its use.

Locks are flock(2) on files in a private directory, so a killed process leaves none behind. For an instance there are
two: `change` is held by whoever creates, starts, stops or deletes it, and `use` is shared by its sessions. To end
sessions, a change needs `use` for itself alone; a session that was let in under `use` is never disturbed.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from agentvm.errors import Error
from agentvm.files import is_at, make_private_directory, remove_file, write_atomically
from agentvm.values import NamedTuple

_GENERATION = "generation"
_SHIMS = ".shims"
"""Beside the prefixes, since shims are of all of them; no prefix begins like that."""
CERTIFICATES, COPIES = KINDS = ("certificates", "copies")
"""What is noted of an instance: the host's certificates and copies of agents' settings that it has."""
_LONGEST_LOOK = 10.0
"""Seconds that somebody may look at an instance without being one of its sessions."""


class SessionRecord(NamedTuple):
    """A running session: the process, what it runs, and since when (Unix time, seconds)."""

    pid: int
    what: str
    since: int


class State:
    """The state directory of one prefix. `waiting` is told once, in words, when a lock is held by somebody else."""

    def __init__(self, directory: str, waiting: Callable[[str], None]) -> None:
        self.directory = directory
        self._waiting = waiting

    @contextmanager
    def change(self, name: str, what: str) -> Iterator[None]:
        """Be the only one who changes the instance. `what` tells others who wait, like "starting agentvm-web-1a2b3c4d"."""
        with self._lock(name, "change", fcntl.LOCK_EX) as lock:
            _write_holder(lock, what)
            yield

    @contextmanager
    def keep(self, name: str, what: str) -> Iterator[None]:
        """Keep others from changing the instance, together with others who do the same. `what` is as for `change`."""
        with self._lock(name, "change", fcntl.LOCK_SH) as lock:
            _write_holder(lock, what)
            yield

    @contextmanager
    def look(self, name: str) -> Iterator[None]:
        """Keep the instance from being ended for as long as it is looked at: who wants it alone waits for that."""
        with self._lock(name, "use", fcntl.LOCK_SH):
            yield

    @contextmanager
    def use(self, name: str, what: str) -> Iterator[None]:
        """Use the instance as one of its sessions, known to others as `what`."""
        with self._lock(name, "use", fcntl.LOCK_SH) as lock, self._record(name, what):
            os.utime(lock)
            try:
                yield
            finally:
                os.utime(lock)

    @contextmanager
    def alone(self, name: str, doing: str, hint: str) -> Iterator[None]:
        """Be sure that nobody uses the instance, for the time of a change. Raises Error that names who does.

        The caller is the one who changes it.
        """
        descriptor = self._open(f"{name}.use")
        try:
            self._wait_for_lookers(descriptor, name, doing, hint)
            yield
        finally:
            os.close(descriptor)

    def changing(self, name: str) -> str:
        """Which other agentvm changes it now, like "process 123, stopping agentvm-web-1a2b3c4d"; empty when none does."""
        try:
            descriptor = os.open(os.path.join(self.directory, f"{name}.change"), os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            return ""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return ""
        except BlockingIOError:
            return _holder(descriptor)
        finally:
            os.close(descriptor)

    def sessions(self, name: str) -> tuple[SessionRecord, ...]:
        """The sessions that run now. Records of killed ones are removed."""
        found = []
        for file in self._session_files(name):
            record = self._living(os.path.join(self._sessions, file))
            if record is not None:
                found.append(record)
        return tuple(sorted(found, key=lambda record: record.since))

    def last_use(self, name: str) -> int:
        """When the last session ended or began (Unix time, seconds); 0 when nothing is known of any.

        A session whose agentvm was killed counts until somebody found out.
        """
        try:
            return int(os.stat(os.path.join(self.directory, f"{name}.use")).st_mtime)
        except OSError:
            return 0

    def beside(self, prefix: str) -> State:
        """The state of another prefix."""
        return type(self)(os.path.join(os.path.dirname(self.directory), prefix), self._waiting)

    def public_directories(self) -> tuple[str, ...]:
        """Those of our own directories that somebody else may look into."""
        return tuple(path for path in self._own_directories() if _is_public(path))

    def make_private(self) -> None:
        """Take from others what they may do in our directories."""
        for path in self.public_directories():
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                os.fchmod(descriptor, 0o700)
            finally:
                os.close(descriptor)

    def log(self, name: str) -> str:
        """The path of a new log file, made for the user alone."""
        directory = os.path.join(self.directory, "logs")
        make_private_directory(directory)
        path = os.path.join(directory, f"{name}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log")
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        return path

    def remember_generation(self, generation: int) -> None:
        """Note the newest golden, so that a warm run can tell an older project without asking for all instances."""
        make_private_directory(self.directory)
        write_atomically(os.path.join(self.directory, _GENERATION), f"{generation}\n".encode())

    def newest_generation(self) -> int:
        """As it was noted last; 0 when nobody did."""
        try:
            with open(os.path.join(self.directory, _GENERATION), "rb") as file:
                return int(file.read(32))
        except (OSError, ValueError):
            return 0

    def remember(self, name: str, kind: str, mark: str) -> None:
        """Note what of the host's an instance has, so that a warm run need not ask it; `kind` is one of `KINDS`."""
        make_private_directory(self.directory)
        write_atomically(self._note(name, kind), mark.encode())

    @contextmanager
    def noting(self, name: str) -> Iterator[None]:
        """Be the only one who brings an instance what is then noted, for as long as that takes."""
        with self._lock(name, "noting", fcntl.LOCK_EX):
            yield

    def remembered(self, name: str, kind: str) -> str:
        """The mark that was noted last; empty when none was."""
        try:
            with open(self._note(name, kind), "rb") as file:
                return file.read(200).decode(errors="replace")
        except OSError:
            return ""

    def remember_shims(self, directory: str) -> None:
        """Note where shims were put, for who takes them away."""
        known = self.shims()
        if directory not in known:
            make_private_directory(self.directory)
            text = "".join(f"{one}\0" for one in (*known, directory))
            write_atomically(self._shims_file, os.fsencode(text))

    def shims(self) -> tuple[str, ...]:
        """The directories that were noted."""
        try:
            with open(self._shims_file, "rb") as file:
                return tuple(filter(None, os.fsdecode(file.read()).split("\0")))
        except OSError:
            return ()

    def forget_shims(self) -> None:
        remove_file(self._shims_file)

    @property
    def _shims_file(self) -> str:
        return os.path.join(os.path.dirname(self.directory), _SHIMS)

    @property
    def ssh_file(self) -> str:
        """What the user's ssh includes, when that was wanted."""
        return os.path.join(self.directory, "ssh_config")

    def forget(self, name: str) -> None:
        """Remove the lock files and notes of a deleted instance, by one who holds both locks."""
        if os.path.isdir(memory := self.memory(name)):
            import shutil

            shutil.rmtree(memory)
        for kind in (*KINDS, "noting", "tripwire", "use", "change"):
            remove_file(os.path.join(self.directory, f"{name}.{kind}"))

    def memory(self, name: str) -> str:
        """The directory for what the tripwire knows of an instance's project. It is made when there is something."""
        return os.path.join(self.directory, "tripwire", name)

    def tidy(self, is_there: Callable[[str], bool]) -> None:
        """Forget what is gone and was not forgotten, since a kill came between. What somebody holds is left alone."""
        for name in sorted({file.rpartition(".")[0] for file in self._files() if file.endswith((".change", ".use"))}):
            with ExitStack() as opened:
                for file in (f"{name}.change", f"{name}.use"):
                    descriptor = self._open(file)
                    opened.callback(os.close, descriptor)
                    if not _lock_at_once(descriptor, os.path.join(self.directory, file)):
                        break
                else:
                    if not is_there(name):
                        self.forget(name)

    @contextmanager
    def hold_memory(self, name: str) -> Iterator[str]:
        """Have that directory for oneself: for milliseconds, so nobody is told of waiting."""
        with self._lock(name, "tripwire", fcntl.LOCK_EX):
            yield self.memory(name)

    def rehearsal(self) -> Rehearsal:
        return Rehearsal(self.directory, self._waiting)

    def _note(self, name: str, kind: str) -> str:
        return os.path.join(self.directory, f"{name}.{kind}")

    def _files(self) -> list[str]:
        try:
            return os.listdir(self.directory)
        except FileNotFoundError:
            return []

    def _own_directories(self) -> tuple[str, ...]:
        try:
            with os.scandir(self.directory) as entries:
                below = sorted(entry.path for entry in entries if entry.is_dir(follow_symlinks=False))
        except OSError:
            return ()
        return (os.path.dirname(self.directory), self.directory, *below)

    def _touch(self, name: str) -> None:
        """Note a use that ended at some time before now."""
        try:
            os.utime(os.path.join(self.directory, f"{name}.use"), follow_symlinks=False)
        except FileNotFoundError:
            pass

    @property
    def _sessions(self) -> str:
        return os.path.join(self.directory, "sessions")

    def _open(self, file: str) -> int:
        make_private_directory(self.directory)
        return os.open(os.path.join(self.directory, file), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    @contextmanager
    def _lock(self, name: str, lock: str, kind: int) -> Iterator[int]:
        descriptor = self._acquire(name, lock, kind)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _acquire(self, name: str, lock: str, kind: int) -> int:
        """Lock the file that is there in the end: who deletes an instance also deletes its lock files."""
        file = f"{name}.{lock}"
        while True:
            descriptor = self._open(file)
            try:
                self._take(descriptor, name, lock, kind)
                if is_at(descriptor, os.path.join(self.directory, file)):
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def _take(self, descriptor: int, name: str, lock: str, kind: int) -> None:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if lock != "tripwire":
                # Who has `use` for himself alone has `change`, too.
                holder = self.changing(name)
                self._waiting(f"waiting for another agentvm{f' ({holder})' if holder else ''}; Ctrl-C gives up")
            fcntl.flock(descriptor, kind)

    def _wait_for_lookers(self, descriptor: int, name: str, doing: str, hint: str) -> None:
        """Lock it for ourselves. A lock without a record is somebody's who only looks, and soon over."""
        deadline = time.monotonic() + _LONGEST_LOOK
        while True:
            try:
                return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if self.sessions(name) or time.monotonic() > deadline:
                    raise self._in_use(name, doing, hint) from None
            time.sleep(0.02)

    @contextmanager
    def _record(self, name: str, what: str) -> Iterator[None]:
        make_private_directory(self._sessions)
        path = os.path.join(self._sessions, f"{name}.{os.getpid()}")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n{int(time.time())}\n{what}\n".encode(errors="replace"), 0)
            yield
        finally:
            remove_file(path)
            os.close(descriptor)
            self.sessions(name)

    def _session_files(self, name: str) -> list[str]:
        try:
            return [file for file in os.listdir(self._sessions) if file.rpartition(".")[0] == name]
        except FileNotFoundError:
            return []

    def _living(self, path: str) -> SessionRecord | None:
        """The record at `path`; one whose process is gone (nobody holds its lock) is removed."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove_file(path)
            self._touch(os.path.basename(path).rpartition(".")[0])
            return None
        except BlockingIOError:
            pid, since, what = (os.pread(descriptor, 4096, 0).decode(errors="replace") + "\n\n\n").split("\n")[:3]
            return SessionRecord(int(pid or 0), what, int(since or 0))
        finally:
            os.close(descriptor)

    def _in_use(self, name: str, doing: str, hint: str) -> Error:
        running = ", ".join(f"{record.what} (process {record.pid})" for record in self.sessions(name)) or "a session"
        return Error(f"{name} is in use by {running}, so {doing} has to wait.", hint)


class Rehearsal(State):
    """The state as a dry run sees it: it writes nothing, so it can't lock, and what it says may soon be out of date."""

    @contextmanager
    def change(self, name: str, what: str) -> Iterator[None]:
        yield

    @contextmanager
    def keep(self, name: str, what: str) -> Iterator[None]:
        yield

    @contextmanager
    def look(self, name: str) -> Iterator[None]:
        yield

    @contextmanager
    def use(self, name: str, what: str) -> Iterator[None]:
        yield

    @contextmanager
    def noting(self, name: str) -> Iterator[None]:
        yield

    @contextmanager
    def hold_memory(self, name: str) -> Iterator[str]:
        yield self.memory(name)

    @contextmanager
    def alone(self, name: str, doing: str, hint: str) -> Iterator[None]:
        if self.sessions(name):
            raise self._in_use(name, doing, hint)
        yield

    def tidy(self, is_there: Callable[[str], bool]) -> None:
        """Nothing is removed."""

    def remember_generation(self, generation: int) -> None:
        """A generation that was not made is not remembered."""


def _write_holder(descriptor: int, what: str) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n{what}\n".encode(), 0)


def _holder(descriptor: int) -> str:
    pid, _, what = os.pread(descriptor, 4096, 0).decode(errors="replace").partition("\n")
    return f"process {pid}, {what.strip()}" if pid.isdigit() and int(pid) != os.getpid() else ""


def _lock_at_once(descriptor: int, path: str) -> bool:
    """Lock a file if nobody has it, and nobody put another one in its place."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return is_at(descriptor, path)


def _is_public(path: str) -> bool:
    try:
        found = os.stat(path, follow_symlinks=False)
    except OSError:
        return False
    return found.st_uid == os.geteuid() and bool(found.st_mode & 0o077)
