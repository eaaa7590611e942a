"""The copies of agents' settings that a guest gets with AGENTVM_CONFIG=overlay, and how they come there.

They travel over ssh, as a tar archive, when they changed since the last time: a read-only mount would not keep a guest's
root from writing (QEMU with virtiofs), and would show the logins and sessions that lie beside the settings. So nothing of
what is copied is mounted at all. What is looked at on each run is what `stat` tells, of the names in the table.

A guest that shared these directories may have put links there, and may be changing them now. So every step from one of
them on is by descriptor and follows no link, but for one that leads to other files of the table, or into a
directory that the user named in `config_links`.
"""

from __future__ import annotations

import io
import os
import stat

from agentvm.digest import sha256
from agentvm.model import Command, Copies, Copy, Host
from agentvm.paths import find_real, is_below
from agentvm.quoting import quote
from agentvm.settings import OVERLAY, Settings, check_config_links
from agentvm.sharing import AGENT_DIRECTORIES, STATE, config_directory
from agentvm.untrusted import read_text

_SCRIPTS = ("*.sh", "*.py", "*.js", "*.mjs", "*.ts")
"""Hooks and status lines often lie beside the settings."""
COPIED = {
    "claude": (
        *("settings.json", "keybindings.json", "*.md", *_SCRIPTS, "agents", "commands", "skills", "hooks", "rules"),
        *("output-styles", "workflows", "routines", "themes", "agent-memory", "plugins"),
    ),
    "codex": ("*.toml", "auth.json", "hooks.json", "*.md", *_SCRIPTS, "prompts", "skills", "rules", "agents", "hooks", "themes", "plugins"),
    "opencode": ("opencode.json", "opencode.jsonc", "*"),
}  # fmt: skip
"""By agent, what is copied of its directory: names, names by their end, or all that is not hidden. In this order, as far as
there is room. From claude 2.1, codex 0.169 and opencode 1.18."""
_SKIPPED = frozenset((".git", ".system", ".DS_Store", "__pycache__", "node_modules"))
"""Large, of another system, or (codex's own skills) made anew by the agent."""
MOST_FILES = 2000
LARGEST = 16 * 2**20
"""Bytes of all files together."""
_DEEPEST = 16
"""Directories within each other, and links on the way to one file."""
_LARGEST_LOGIN = 64_000
_NAMED = 5
"""How many names one notice has."""


def read_copies(host: Host, settings: Settings, *, contents: bool) -> Copies:
    """What there is to copy; without `contents` only by its marks. Raises UsageError for an entry of `config_links`."""
    if settings.config != OVERLAY:
        return Copies()
    directories = {agent: config_directory(host, path) for agent, path in AGENT_DIRECTORIES.items()}
    reader = _Reader(directories, check_config_links(host, settings.config_links), contents)
    for agent in directories:
        reader.read_agent(agent)
    marks = repr([file._replace(content=b"") for file in reader.files])
    return Copies(tuple(reader.files), tuple(reader.notices), sha256(marks.encode())[:32])


class _TooMuch(Exception):
    """A directory that does not fit."""


class _Reader:
    """Collects files and notices."""

    def __init__(self, directories: dict[str, str], roots: tuple[str, ...], contents: bool) -> None:
        self._own = {agent: find_real(path) for agent, path in directories.items()}
        self._roots = roots
        self._contents = contents
        self._room = LARGEST
        self.files: list[Copy] = []
        self.notices: list[str] = []
        self._unfollowed: list[str] = []

    def read_agent(self, agent: str) -> None:
        directory = self._own[agent]
        try:
            descriptor = _open_directory(directory)
        except OSError:
            # It is made when something is shared from it; an agent that was never used has none.
            return
        try:
            found = [(place, name) for name in os.listdir(descriptor) if (place := _place(agent, name)) is not None]
            for _, name in sorted(found):
                self._read_top(descriptor, os.path.join(directory, name), f"{agent}/{name}")
        finally:
            os.close(descriptor)
        self._tell_unfollowed(directory)

    def _read_top(self, descriptor: int, path: str, name: str) -> None:
        """All of an entry, or nothing."""
        if name == "codex/auth.json" and not _is_key(path):
            return
        before, room = len(self.files), self._room
        try:
            self._read(descriptor, path, name, 0)
        except FileNotFoundError:
            return
        except (OSError, _TooMuch) as problem:
            del self.files[before:]
            self._room = room
            reason = problem.strerror if isinstance(problem, OSError) else str(problem)
            self.notices.append(f"{path} is not copied into the VM: {reason}")

    def _read(self, directory: int, path: str, name: str, depth: int) -> None:
        if depth > _DEEPEST:
            raise _TooMuch(f"there are more than {_DEEPEST} directories within each other")
        if not name.isprintable():
            raise _TooMuch(f"there is a name in it with characters that are not printable, {os.path.basename(path)!r}")
        last = os.path.basename(path)
        status = os.stat(last, dir_fd=directory, follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            self._read_behind(path, name, depth)
        elif stat.S_ISDIR(status.st_mode):
            self._read_directory(_open_directory(last, directory), path, name, depth)
        elif stat.S_ISREG(status.st_mode):
            self._add(directory, last, name, status)

    def _read_directory(self, descriptor: int, path: str, name: str, depth: int) -> None:
        try:
            for child in sorted(os.listdir(descriptor)):
                if child not in _SKIPPED:
                    self._read(descriptor, os.path.join(path, child), f"{name}/{child}", depth + 1)
        finally:
            os.close(descriptor)

    def _read_behind(self, path: str, name: str, depth: int) -> None:
        real = find_real(path)
        root = self._root_of(real)
        if not root:
            self._unfollowed.append(path)
            return
        descriptor = _open_parent(root, real)
        try:
            self._read(descriptor, real, name, depth + 1)
        finally:
            os.close(descriptor)

    def _root_of(self, real: str) -> str:
        """The directory from which on no more links are followed; empty when nothing there may come into a guest."""
        for agent, root in self._own.items():
            if is_below(real, root):
                top = os.path.relpath(real, root).split("/")[0]
                return root if _place(agent, top) is not None and top != "auth.json" else ""
        return next((root for root in self._roots if is_below(real, root)), "")

    def _add(self, directory: int, last: str, name: str, status: os.stat_result) -> None:
        self._room -= status.st_size
        if self._room < 0:
            raise _TooMuch(f"there is room for {LARGEST >> 20} MiB in all")
        if len(self.files) == MOST_FILES:
            raise _TooMuch(f"there is room for {MOST_FILES} files in all")
        content = _read_file(directory, last, status.st_size) if self._contents else b""
        mark = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"
        self.files.append(Copy(name, bool(status.st_mode & stat.S_IXUSR), mark, content))

    def _tell_unfollowed(self, directory: str) -> None:
        names = [os.path.relpath(path, directory) for path in self._unfollowed]
        self._unfollowed.clear()
        if names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            self.notices.append(
                f"of {directory}, {', '.join(names[:_NAMED])}{more} can't be copied into the VM: a link, which a VM could have "
                "made; `config_links` in config.toml names directories that links may lead to"
            )


def _place(agent: str, name: str) -> int | None:
    """Which entry of the table a name in the agent's directory belongs to."""
    for place, pattern in enumerate(COPIED[agent]):
        plain = not name.startswith(".") and name not in _SKIPPED
        if name == pattern or (pattern.startswith("*") and plain and name.endswith(pattern[1:])):
            return place
    return None


def _is_key(path: str) -> bool:
    """Whether codex's login is an API key. Any other has a token that serves once: a copy would log the host out."""
    try:
        text = read_text(path, _LARGEST_LOGIN, follow=False) or ""
    except ValueError:
        return False
    return "OPENAI_API_KEY" in text and "refresh_token" not in text


def _open_directory(path: str, beside: int | None = None) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=beside)


def _open_parent(root: str, path: str) -> int:
    """The directory that holds `path`, which is `root` or below it, reached from there without a link."""
    if path == root:
        return _open_directory(os.path.dirname(root))
    descriptor = _open_directory(root)
    for part in os.path.relpath(path, root).split("/")[:-1]:
        outer = descriptor
        try:
            descriptor = _open_directory(part, outer)
        finally:
            os.close(outer)
    return descriptor


def _read_file(directory: int, name: str, size: int) -> bytes:
    """So much of it as was there when its mark was taken. What became a pipe meanwhile is not waited for."""
    descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW, dir_fd=directory)
    with open(descriptor, "rb") as file:
        return file.read(size) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""


# --- Into the guest ----------------------------------------------------------------------------------------------------


def unpacking(copies: Copies) -> Command:
    """Brings them into the guest's own directories; what was changed there is kept beside what the host has now."""
    return Command(("/bin/sh", "-c", _UNPACK), _pack(copies.files), timeout=600)


def placing(host: Host) -> Command:
    """Hooks and plugins name files by the host's path of them: there, in the guest, are links to the copies."""
    places = ((agent, config_directory(host, path)) for agent, path in AGENT_DIRECTORIES.items())
    lines = [f"place {agent} {quote(path)}" for agent, path in places]
    return Command(
        ("/bin/sh", "-s"), "\n".join((_PLACE, *lines, "")).encode(errors="surrogateescape"), root=True, timeout=120
    )


def _pack(files: tuple[Copy, ...]) -> bytes:
    import tarfile

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for file in files:
            entry = tarfile.TarInfo(file.name)
            entry.size, entry.mode = len(file.content), 0o700 if file.executable else 0o600
            archive.addfile(entry, io.BytesIO(file.content))
    return packed.getvalue()


# A file that is the same on the host as the last time is left alone, whatever became of it here.
_UNPACK = f"""\
umask 077
own=$HOME/{STATE}/{OVERLAY}
new=$own/new old=$own/copied
say() {{ printf 'agentvm: %s\\n' "$1"; }}
same() {{
    cmp -s "$1" "$2" 2>/dev/null && if [ -x "$1" ]; then [ -x "$2" ]; else [ ! -x "$2" ]; fi
}}
mkdir -p "$own" && exec 9>"$own/lock" || exit
! command -v flock >/dev/null || flock 9
rm -rf "$new" && mkdir "$new" && tar -xf - -C "$new" || exit
if [ -d "$old" ]; then
    (cd "$old" && find . -type f) | while IFS= read -r file; do
        path=$own/$file
        if [ -e "$new/$file" ] || [ ! -e "$path" ]; then
            continue
        elif same "$old/$file" "$path"; then
            rm -f "$path"
        else
            say "${{file#./}} was changed in this VM, and is gone on the host; it stays"
        fi
    done
fi
(cd "$new" && find . -type f) | while IFS= read -r file; do
    path=$own/$file
    ! same "$new/$file" "$old/$file" || continue
    ! same "$new/$file" "$path" || continue
    if {{ [ -e "$path" ] || [ -h "$path" ]; }} && ! same "$old/$file" "$path"; then
        rm -rf "$path.guest" && mv "$path" "$path.guest" &&
            say "${{file#./}} was changed in this VM and on the host; the VM's version has .guest behind its name now"
    fi
    mkdir -p "${{path%/*}}" && cp -p "$new/$file" "$path.$$" && mv -f "$path.$$" "$path" || exit
done || exit
rm -rf "$old" && mv "$new" "$old"
"""

# Never into a directory that is there, which may be a mount: only where there is nothing, or a link of ours.
_PLACE = f"""\
home=$(getent passwd "$SUDO_USER" | cut -d: -f6) && [ "$home" ] || exit
place() {{
    own=$home/{STATE}/{OVERLAY}/$1
    case $2/ in "$home"/*) return ;; esac
    mkdir -p "$2" || return
    for link in "$2"/*; do
        [ ! -h "$link" ] || [ -e "$link" ] || rm -f "$link"
    done
    for entry in "$own"/*; do
        [ ! -e "$entry" ] || [ -e "$2/${{entry##*/}}" ] || ln -s "$entry" "$2/${{entry##*/}}"
    done
}}"""
