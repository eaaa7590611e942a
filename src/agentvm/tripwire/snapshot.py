"""Reading the places: by descriptors from directory to directory, never through a link, and within bounds.

A guest may swap a directory for a link, a file for a pipe, or make a million of them, while this reads. So every step is
an open relative to the directory before it that refuses links, and names, bytes and steps are counted.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Mapping

from agentvm.digest import sha256
from agentvm.tripwire.directories import DIRECTORY, MOST_NAMES, names_in, nearby_repositories, open_directory
from agentvm.tripwire.pattern import AnyName, Pattern
from agentvm.tripwire.places import POINTER, TABLE, Area, Kind, Place, Root, git_places
from agentvm.values import NamedTuple

LARGEST = 524_288
"""Bytes of a file that is read; of a larger one its size and the time of its last change count."""
_MOST_STEPS = 3000
"""Files and directories of one root."""
_MOST_BYTES = 8 * LARGEST
_MOST_CONFIGS = 200
"""Files of git's that are read for what they lead to."""
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Form(NamedTuple):
    """What lies at a place: "file", "link" (its target as content) or, with words as content, another form that isn't
    read: "large", "crowded", "other", "unreadable"."""

    name: str
    mode: int
    """Permissions, for a file."""
    content: bytes

    @property
    def mark(self) -> str:
        """Tells whether it is the same without having the content."""
        return f"{self.name} {self.mode:o} {sha256(self.content)}"


class Seen(NamedTuple):
    """A place as a look found it."""

    place: Place
    form: Form


Snapshot = dict[str, Seen]
"""By path below the root. What isn't there is not in it."""


def take(root: Root, known: Mapping[str, Place], repositories: Iterable[str] = ()) -> Snapshot:
    """Look at all places of a root, at the git directories `repositories`, and at what is `known` by its exact name."""
    look = _Look(root.path)
    try:
        directory = open_directory(root.path)
    except OSError as problem:
        return {"": Seen(Place("", "programs that look there"), _unreadable(problem))} if _is_trouble(problem) else {}
    try:
        look.at(directory, Pattern.of(TABLE[root.area]))
        if root.area is Area.TREE:
            for at in sorted({*nearby_repositories(directory), *repositories}):
                look.repository(directory, at)
        look.referred(directory)
        look.at(directory, Pattern.exactly({path: known[path] for path in known.keys() - look.found.keys()}))
    finally:
        os.close(directory)
    return look.found


class _Look:
    """One look at one root."""

    def __init__(self, path: str) -> None:
        self._root = path
        self._steps = _MOST_STEPS
        self._bytes = _MOST_BYTES
        self.found: Snapshot = {}

    def repository(self, directory: int, at: str) -> None:
        """A git directory, or the file at its place that says where it is."""
        look = Pattern.of(git_places(""), at)
        if at.endswith(".git/"):
            look.add(at[:-1].split("/"), POINTER)
        self.at(directory, look)

    def referred(self, directory: int) -> None:
        """Where links and git's own settings lead to, as far as that is in the same root."""
        for path, seen in list(self.found.items()):
            if seen.form.name == "link" and (target := self._inside(path, os.fsdecode(seen.form.content))):
                runner = f"{seen.place.runner}, by the link {path}"
                self.at(directory, Pattern.exactly({target: Place(target, runner, seen.place.kind)}))
            if seen.place is POINTER and (at := self._inside(path, _pointed_to(seen.form))):
                self.at(directory, Pattern.of(git_places(""), f"{at}/"))
        queue = [path for path, seen in self.found.items() if seen.place.kind is Kind.GIT]
        # It grows meanwhile: what is included may include more.
        for path, _ in zip(queue, range(_MOST_CONFIGS), strict=False):
            queue += self._configured(directory, path)

    def _configured(self, directory: int, path: str) -> Iterator[str]:
        form = self.found[path].form
        if form.name != "file" or not _may_lead_on(form.content) or len(form.content) > LARGEST // 4:
            return
        from agentvm.tripwire.gitfile import Malformed, read_settings, values_of

        try:
            settings = read_settings(form.content.decode(errors="surrogateescape"))
        except Malformed:
            return
        for value in values_of(settings, "core.hookspath"):
            if at := self._inside(_work_tree(path), value):
                runner = "git, on what it is named for, since core.hooksPath names the directory"
                self.at(directory, Pattern.of([Place("*", runner)], f"{at}/"))
        for value in values_of(settings, "include.path", "includeif.path"):
            if (at := self._inside(path, value)) and at not in self.found:
                place = Place(at, f"git, at any command, since {path} includes it", Kind.GIT)
                self.at(directory, Pattern.exactly({at: place}))
                if at in self.found:
                    yield at

    def _inside(self, path: str, target: str) -> str:
        """The path below the root that `target` means in the file at `path`; empty if it is outside or the root itself."""
        if target.startswith("~") or "\0" in target:
            return ""
        whole = os.path.normpath(os.path.join(self._root, os.path.dirname(path), target))
        return whole[len(self._root) + 1 :] if whole.startswith(self._root.rstrip("/") + "/") else ""

    def at(self, directory: int, pattern: Pattern, at: str = "") -> None:
        """Look at what a pattern means in a directory, which is `at` below the root."""
        names: list[str] | None = None
        for part, inner in pattern.below.items():
            if isinstance(part, AnyName) and names is None:
                names = self._names(directory, at, inner.first())
            matching = [part] if isinstance(part, str) else [name for name in names or () if part.fits(name)]
            for name in matching:
                if inner.place:
                    self._read(directory, at + name, name, inner.place)
                if inner.below:
                    self._enter(directory, at, name, inner)

    def _names(self, directory: int, at: str, place: Place) -> list[str]:
        names = names_in(directory)
        if names is None:
            self._note(at + "*", place, Form("crowded", 0, f"more than {MOST_NAMES} names".encode()))
        return names or []

    def _enter(self, directory: int, at: str, name: str, pattern: Pattern) -> None:
        place = pattern.first()
        if self._is_spent(place):
            return
        try:
            inner = os.open(name, DIRECTORY, dir_fd=directory)
        except FileNotFoundError:
            return
        except OSError as problem:
            # A link is a finding; so is what may be entered but not listed, which git could do with. A file has a
            # place of its own.
            if problem.errno in (errno.ELOOP, errno.ENOTDIR):
                self._read(directory, at + name, name, place, only_links=True)
            else:
                self._note(at + name, place, _unreadable(problem))
            return
        try:
            self.at(inner, pattern, f"{at}{name}/")
        finally:
            os.close(inner)

    def _read(self, directory: int, path: str, name: str, place: Place, *, only_links: bool = False) -> None:
        if path in self.found or self._is_spent(place):
            return
        try:
            form = self._form(directory, name)
        except OSError as problem:
            form = _unreadable(problem) if _is_trouble(problem) else None
        if form and (form.name in ("link", "unreadable") or not only_links):
            self._note(path, place, form)

    def _form(self, directory: int, name: str) -> Form | None:
        there = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if stat.S_ISLNK(there.st_mode):
            return Form("link", 0, os.fsencode(os.readlink(name, dir_fd=directory)))
        if stat.S_ISDIR(there.st_mode):
            return None
        if not stat.S_ISREG(there.st_mode):
            return Form("other", 0, b"neither a file nor a directory")
        descriptor = os.open(name, _FILE, dir_fd=directory)
        try:
            return self._file(descriptor)
        finally:
            os.close(descriptor)

    def _file(self, descriptor: int) -> Form:
        """What was opened may be another thing than what was looked at."""
        there = os.fstat(descriptor)
        if not stat.S_ISREG(there.st_mode):
            return Form("other", 0, b"neither a file nor a directory")
        content = _read_up_to(descriptor, min(LARGEST, self._bytes) + 1) if there.st_size <= LARGEST else b""
        if there.st_size > LARGEST or len(content) > min(LARGEST, self._bytes):
            # A guest can set every time but this one, which the host's kernel sets.
            words = f"{there.st_size} bytes, too large to be compared, last changed at {there.st_ctime_ns}"
            return Form("large", 0, words.encode())
        self._bytes -= len(content)
        return Form("file", there.st_mode & 0o777, content)

    def _is_spent(self, place: Place) -> bool:
        self._steps -= 1
        if self._steps == 0:
            self._note("*", place, Form("crowded", 0, f"more than {_MOST_STEPS} places".encode()))
        return self._steps <= 0

    def _note(self, path: str, place: Place, form: Form) -> None:
        self.found.setdefault(path, Seen(place, form))


def _read_up_to(descriptor: int, most: int) -> bytes:
    content = b""
    while len(content) < most and (data := os.read(descriptor, most - len(content))):
        content += data
    return content


def _unreadable(problem: OSError) -> Form:
    return Form("unreadable", 0, (problem.strerror or "it can't be read").encode())


def _is_trouble(problem: OSError) -> bool:
    """Whether it is more than that nothing is there."""
    return not isinstance(problem, FileNotFoundError | NotADirectoryError)


def _work_tree(config: str) -> str:
    """A path in the directory from which git takes a relative core.hooksPath: the top of the work tree, if it has one."""
    parts = config.split("/")
    return "/".join((*parts[: parts.index(".git")], "")) if ".git" in parts else config


def _pointed_to(form: Form) -> str:
    """The directory that a `.git` file names (gitrepository-layout(5)), or `~` for none."""
    text = os.fsdecode(form.content).rstrip("\r\n")
    return text.removeprefix("gitdir: ") if form.name == "file" and text.startswith("gitdir: ") else "~"


def _may_lead_on(config: bytes) -> bool:
    """Whether it is worth reading: most name neither another directory for hooks nor another file."""
    text = config.lower()
    return b"hookspath" in text or b"include" in text
