"""`agentvm cp`: files between this computer and a VM. What comes out of one is never trusted."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, NamedTuple

from agentvm.commands.arguments import parse
from agentvm.commands.target import current_project, named_instance, project_spec
from agentvm.context import Context
from agentvm.errors import Error, UsageError
from agentvm.hosttree import Found, Landing, located, opened_directory, walk
from agentvm.instances import in_use
from agentvm.model import Instance, Status
from agentvm.paths import find_real
from agentvm.process import Completed, Piped
from agentvm.progress import amount
from agentvm.sharing import plan_sharing
from agentvm.tarstream import DIRECTORY, FILE, read_members

if TYPE_CHECKING:
    import tarfile

_THIS = "vm"
_OFTEN = 5.0
"""Seconds between two lines of progress."""
_DREGS = 1_000_000
"""Bytes that may come after the end of a tar: it is padded."""
_LONGEST_COMPLAINT = 1000
_PACK = """\
fail() { printf '%s\\n' "$1" >&2; exit 3; }
cd || exit 3
recursive=$1 follow=h
shift
left=$#
while [ "$left" -gt 0 ]; do
    above=$1 name=$2
    shift 2
    left=$((left - 2))
    case $above in /*) ;; .) above=$PWD ;; *) above=$PWD/${above#./} ;; esac
    if [ -d "$above/$name" ]; then
        [ "$recursive" ] || fail "$above/$name is a directory in the VM; -r copies it with what is in it"
        follow=
        set -- "$@" -C "$above" "./$name/."
    elif [ -f "$above/$name" ]; then
        set -- "$@" -C "$above" "./$name"
    else
        fail "$above/$name is not there in the VM, or is no file"
    fi
done
exec tar "-c${follow}f" - "$@"
"""
"""Its words: "-r" or nothing, then for each source the directory and the name in it. With a directory among them tar
sends links as links; without one it sends what they lead to."""
_UNPACK = """\
fail() { printf '%s\\n' "$1" >&2; exit 3; }
cd || exit 3
target=$1 name=$2
[ ! -d "$target" ] || exec tar -xf - -C "$target"
[ "$name" ] || fail "$target is no directory in the VM"
case $target in */) fail "$target is not there in the VM" ;; esac
above=${target%/*}
[ -d "$above/" ] || fail "$above is not there in the VM"
scratch=$(mktemp -d "$above/.agentvm-cp.XXXXXX") || exit 3
trap 'rm -rf "$scratch"' EXIT
trap 'exit 3' HUP INT TERM
tar -xf - -C "$scratch" && mv -f "$scratch/$name" "$target"
"""
"""Its words: the target, and the only source's name, which is empty when there are more."""


class Place(NamedTuple):
    """A path on this computer, or, with an instance's name or "vm", in a guest."""

    instance: str
    path: str


class Tally:
    """Counts what was copied. `shown` is that in words, and changes only now and then."""

    def __init__(self) -> None:
        self.files = self.bytes = self.left_out = 0
        self.shown = ""
        self._next = time.monotonic() + _OFTEN

    def add(self, size: int) -> None:
        self.bytes += size
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _OFTEN
            self.shown = str(self)

    def __str__(self) -> str:
        return f"{self.files} file{'' if self.files == 1 else 's'}, {amount(self.bytes)}"


class Job(NamedTuple):
    """One copying, with the VM at its other end."""

    context: Context
    actual: Instance
    sources: tuple[Place, ...]
    target: Place
    recursive: bool
    tally: Tally

    @property
    def shared(self) -> tuple[str, ...]:
        """The directories of this computer that the guest can write, by their real paths."""
        mounts = self.actual.label.spec.mounts if self.actual.label else ()
        return tuple(find_real(mount.location) for mount in mounts if mount.writable)

    def here(self, place: Place) -> str:
        """A path of this computer, made absolute."""
        return os.path.join(self.context.host.directory, place.path)


def copy(context: Context, arguments: tuple[str, ...]) -> int:
    options = parse("cp", arguments)
    if len(options.paths) < 2:
        raise UsageError(
            "`agentvm cp` needs a source and a target.", "Like: agentvm cp vm:report.pdf . or agentvm cp data.csv vm:"
        )
    *sources, target = map(read_place, options.paths)
    instance = _only_instance(sources, target)
    names = tuple(_name(source) for source in sources)
    if len(set(names)) < len(names):
        raise UsageError("Two sources have the same name.", "Copy them one after the other.")
    if context.dry_run:
        context.console.say(f"would copy {', '.join(names)} {'to' if target.instance else 'from'} {instance}:")
        return 0
    tally = Tally()
    with _running(context, instance) as actual:
        job = Job(context, actual, tuple(sources), target, options.recursive, tally)
        with context.console.work(f"copy {', '.join(names)}", lambda: tally.shown):
            done = _send(job) if target.instance else _fetch(job)
        _tell(job, done)
    return 0


def _tell(job: Job, done: Completed) -> None:
    """How it went. Raises Error when the guest's side failed."""
    if left_out := job.tally.left_out:
        what = "special file" if job.target.instance else "link or special file"
        job.context.console.say(f"left out: {left_out} {what}{'s' if left_out > 1 else ''}")
    if done.status != 0:
        said = done.stderr.decode(errors="replace").strip()[:_LONGEST_COMPLAINT]
        what = "Not all" if job.tally.files else "Nothing"
        next_step = f"So far: {job.tally}." if job.tally.files else "`agentvm shell` looks into the VM."
        raise Error(f"{what} was copied: {said or f'tar ended with status {done.status}'}", next_step)
    job.context.console.say(f"copied {job.tally}")


def read_place(word: str) -> Place:
    """A colon before any slash ends the name of an instance, as with scp."""
    instance, colon, path = word.partition(":")
    if colon and "/" not in instance:
        if not instance:
            raise UsageError(
                f"{word!r} names no VM before its colon.", f"`{_THIS}:` is this project's; a file is ./{word}"
            )
        return Place(instance, path.removeprefix("~/"))
    if not word:
        raise UsageError("An empty word is no file.", "`.` is the current directory.")
    return Place("", word)


def _name(place: Place) -> str:
    name = os.path.basename(place.path.rstrip("/"))
    if name in ("", ".", ".."):
        raise UsageError(f"{place.path or 'the home directory'} has no name to be copied by.", "Name what is in it.")
    return name


def _only_instance(sources: list[Place], target: Place) -> str:
    instances = {source.instance for source in sources}
    if len(instances) != 1 or bool(target.instance) == bool(instances != {""}):
        raise UsageError(
            "One side must be this computer, and the other one VM.",
            f"Like: agentvm cp {_THIS}:report.pdf . or agentvm cp data.csv {_THIS}:",
        )
    return target.instance or instances.pop()


@contextmanager
def _running(context: Context, name: str) -> Iterator[Instance]:
    """This project's VM is brought up if need be, as for a session; another one must run."""
    if name == _THIS:
        project = current_project(context)
        with in_use(
            context, project_spec(context, project, plan_sharing(context.host, context.settings, project)), "cp"
        ) as actual:
            yield actual
        return
    named_instance(context, name)
    with context.state.use(name, "cp"):
        actual = named_instance(context, name)
        if actual.status is not Status.RUNNING:
            where = actual.label.spec.project if actual.label else ""
            raise Error(
                f"{name} is {actual.status.value}.", f"`agentvm shell -- true` in {where} starts it." if where else ""
            )
        yield actual


# --- To the VM ---------------------------------------------------------------------------------------------------------


def _send(job: Job) -> Completed:
    for source in job.sources:
        path = job.here(source)
        if not os.path.exists(path):
            raise UsageError(f"{source.path} is not there.", "See what is in its directory.")
        if os.path.isdir(path) and not job.recursive:
            raise UsageError(f"{source.path} is a directory.", "-r copies it with what is in it.")
    only = _name(job.sources[0]) if len(job.sources) == 1 else ""
    words = ("/bin/sh", "-c", _UNPACK, "sh", _guest_path(job.target.path), only)
    with job.context.backend.pipe(job.actual.name, words) as piped:
        # A broken pipe: tar says why on its way out.
        with suppress(BrokenPipeError):
            _pack(job, piped.stdin)
        return _drained(piped)


def _pack(job: Job, stream: IO[bytes]) -> None:
    import tarfile

    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.GNU_FORMAT) as archive:
        for source in job.sources:
            with located(job.here(source), job.shared) as (directory, name):
                for found in walk(directory, name):
                    _add(archive, found._replace(path=(_name(source), *found.path[1:])), job.tally)


def _add(archive: tarfile.TarFile, found: Found, tally: Tally) -> None:
    import tarfile

    member = tarfile.TarInfo("/".join(found.path))
    member.mode, member.mtime = stat.S_IMODE(found.status.st_mode), int(found.status.st_mtime)
    if found.target:
        member.type, member.linkname = tarfile.SYMTYPE, found.target
        archive.addfile(member)
    elif stat.S_ISDIR(found.status.st_mode):
        member.type = tarfile.DIRTYPE
        archive.addfile(member)
    elif found.descriptor < 0:
        tally.left_out += 1
    else:
        member.size = found.status.st_size
        tally.files += 1
        archive.addfile(member, _Counted(found, tally))


class _Counted:
    """A file that is as long as it was found to be: what grows meanwhile is cut, what shrinks is an error."""

    def __init__(self, found: Found, tally: Tally) -> None:
        self._found = found
        self._tally = tally

    def read(self, size: int = -1, /) -> bytes:
        data = os.read(self._found.descriptor, size)
        self._tally.add(len(data))
        if not data:
            raise Error(f"{'/'.join(self._found.path)} got shorter while it was copied.", "Try again.")
        return data


def _guest_path(path: str) -> str:
    """One that no program takes for an option; relative to the guest's home."""
    return path if path.startswith("/") else f"./{path}"


# --- From the VM -------------------------------------------------------------------------------------------------------


def _fetch(job: Job) -> Completed:
    path, names = job.here(job.target), tuple(_name(source) for source in job.sources)
    into = os.path.isdir(path)
    if not into and (len(names) > 1 or path.endswith("/")):
        raise UsageError(f"{job.target.path} is no directory.", "Make it first.")
    place = path if into else os.path.dirname(path)
    pairs = (os.path.split(_guest_path(source.path.rstrip("/"))) for source in job.sources)
    words = ("/bin/sh", "-c", _PACK, "sh", "-r" if job.recursive else "", *(word for pair in pairs for word in pair))
    with opened_directory(place, job.shared) as directory, job.context.backend.pipe(job.actual.name, words) as piped:
        piped.stdin.close()
        # What comes gets the name that was asked for, whatever the guest calls it.
        given = {name: name if into else os.path.basename(path) for name in names}
        _unpack(piped, Landing(directory, place), given, job.tally)
        return _drained(piped)


def _unpack(piped: Piped, landing: Landing, given: dict[str, str], tally: Tally) -> None:
    if not piped.stdout.peek(1):
        # It says on its standard error why it sent nothing.
        return
    for member, content in read_members(piped.stdout.read1):
        if not member.path or member.path[0] not in given:
            raise Error(f"The VM sent {'/'.join(member.path)!r}, which nobody asked for, so copying was stopped.")
        path = (given[member.path[0]], *member.path[1:])
        if member.kind == DIRECTORY:
            landing.make_directory(path, member.mode)
        elif member.kind == FILE:
            with landing.new_file(path, member.mode) as descriptor:
                for data in content:
                    _write(descriptor, data)
                    tally.add(len(data))
            tally.files += 1
        else:
            tally.left_out += 1


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _drained(piped: Piped) -> Completed:
    """The end of a program that has said what it had to say; one that goes on and on is cut off."""
    with suppress(BrokenPipeError):
        piped.stdin.close()
    left = _DREGS
    while left > 0 and (data := piped.stdout.read1(65536)):
        left -= len(data)
    return piped.finish()
