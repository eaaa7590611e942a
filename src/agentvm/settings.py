"""Every setting once: its name, type, default and help. The parser, `--help`, `doctor` and the reference read this table."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from agentvm.errors import UsageError, nearest
from agentvm.model import Host, Mount
from agentvm.paths import find_real, is_below
from agentvm.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ON = frozenset(("1", "true", "yes", "on"))
_OFF = frozenset(("0", "false", "no", "off"))
_UNITS = {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_PREFIX = "AGENTVM_"
SHARED, OVERLAY, ISOLATED = "shared", "overlay", "isolated"
"""What a guest has of the agents' directories: themselves, copies of their settings, or nothing."""


class Setting(NamedTuple):
    """One row of the table. The variable is `AGENTVM_` and the name in capitals; the key in config.toml is the name."""

    name: str
    kind: Callable[[str], Any]
    default: str
    help: str
    secret: bool = False
    """Whether its value may hold a token: then it is never shown."""

    @property
    def variable(self) -> str:
        return _PREFIX + self.name.upper()


def toggle(text: str) -> bool:
    word = text.strip().lower()
    if word in _ON or word in _OFF:
        return word in _ON
    raise ValueError("is neither on nor off; use 1 or 0")


def size(text: str) -> int:
    """Bytes from "8GiB", "512MiB" or, as Lima has it, a bare number of GiB; 0 is the template's own."""
    word = text.strip().lower()
    number, unit = word.rstrip("abcdefghijklmnopqrstuvwxyz"), word.lstrip("0123456789. ")
    try:
        value = int(float(number) * _UNITS[unit or "gib"])
    except (KeyError, ValueError, OverflowError):
        raise ValueError("is not a size; write it like 8GiB") from None
    return value


def count(text: str) -> int:
    if not (text.strip().isascii() and text.strip().isdigit()):
        raise ValueError("is not a whole number")
    return int(text)


def seconds(text: str) -> int:
    if (value := count(text)) < 1:
        raise ValueError("must be at least 1 (second)")
    return value


def name_prefix(text: str) -> str:
    """Lower case, since macOS keeps instance directories without regard to case; dots and dashes only between words."""
    words = text.split("-")
    if len(text) <= 24 and all(word.isascii() and word.isalnum() and word == word.lower() for word in words):
        return text
    raise ValueError("must be words of lower-case letters and digits joined by '-', 24 characters at most")


def backend_name(text: str) -> str:
    if text in ("lima", "fake"):
        return text
    raise ValueError("is not a backend; there are lima and fake")


def config_mode(text: str) -> str:
    if text in (SHARED, OVERLAY, ISOLATED):
        return text
    raise ValueError(f"is no way to share; there are {SHARED}, {OVERLAY} and {ISOLATED}")


SETTINGS = (
    Setting("mount_gh_config", toggle, "1", "share ~/.config/gh (read-only)"),
    Setting("mount_gitconfig", toggle, "1", "copy ~/.gitconfig into the VM at each run"),
    Setting("mount_git_credentials", toggle, "1", "copy ~/.git-credentials into the VM at each run"),
    Setting("mount_ssh", toggle, "0", "share ~/.ssh (read-only): the VM can then use and copy your keys"),
    Setting(
        "ssh_agent",
        toggle,
        "0",
        "forward the ssh agent: programs in the VM can use your keys while a session runs, and never copy them",
    ),
    Setting(
        "config",
        config_mode,
        SHARED,
        "the agents' directories: shared, overlay (settings as copies, sessions shared) or isolated (nothing)",
    ),
    Setting("yolo", toggle, "0", "add the agent's own flag that lets it act without asking"),
    Setting("tripwire", toggle, "1", "tell after a session what it changed of that which this computer runs"),
    Setting("skip_auto_install", toggle, "0", "do not install a missing agent"),
    Setting("claude_install_cmd", str, "", "shell text that installs claude in the VM, instead of npm", secret=True),
    Setting("codex_install_cmd", str, "", "shell text that installs codex in the VM, instead of npm", secret=True),
    Setting(
        "opencode_install_cmd", str, "", "shell text that installs opencode in the VM, instead of npm", secret=True
    ),
    Setting("gh_install_cmd", str, "", "shell text that installs gh in the VM, instead of apt", secret=True),
    Setting("base_manifest_dir", str, "", "directory with apt-packages.txt and scripts/*.sh for the base"),
    Setting("base_template", str, "template:_images/ubuntu-24.04", "Lima template of the base; its mounts are ignored"),
    Setting("instance_prefix", name_prefix, "agentvm", "first part of the name of every instance"),
    Setting("cpus", count, "0", "CPUs of a project's VM; 0 is what the template says"),
    Setting("memory", size, "0", "memory of a project's VM, like 8GiB; 0 is what the template says"),
    Setting("disk", size, "0", "disk of a project's VM, like 100GiB; it can only grow; 0 is what the template says"),
    Setting("start_timeout", seconds, "600", "seconds that a VM may take to start"),
    Setting(
        "limactl_timeout",
        count,
        "0",
        "seconds that limactl may take for anything but a start; 0 is 60 to read or edit, 420 to stop, 1800 to copy",
    ),
    Setting("backend", backend_name, "lima", "lima, or fake: no VM at all, for trying out and for tests"),
    Setting("fake_dir", str, "", "where the fake backend keeps its instances"),
    Setting("limactl", str, "limactl", "the limactl to use: a name on the PATH, or a path"),
    Setting("bypass", toggle, "0", "a shim runs the host's own program instead of agentvm"),
)


class ExtraMount(NamedTuple):
    """A directory of the host that the user wants in every guest, under its own name."""

    path: str
    """Absolute and normal."""
    writable: bool


class Settings:
    """The values of all settings, as attributes by their names, and of the lists `mounts`, `pass_env` and `config_links`.
    Immutable."""

    __slots__ = ("_values", "sources")
    sources: dict[str, str]
    """For each name, where the value came from: "default", "environment" or the config file's path."""

    def __init__(self, values: Mapping[str, Any], sources: Mapping[str, str]) -> None:
        object.__setattr__(self, "_values", dict(values))
        object.__setattr__(self, "sources", dict(sources))

    def __getattr__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("settings don't change")


def config_path(host: Host) -> str:
    root = host.environment.get("XDG_CONFIG_HOME") or os.path.join(host.home, ".config")
    return os.path.join(root, "agentvm", "config.toml")


def read_settings(host: Host) -> Settings:
    """All settings: from the environment first, then the user's config file. Raises UsageError that names the culprit."""
    path = config_path(host)
    table = _read_config(path)
    values: dict[str, Any] = {
        "mounts": parse_mounts(table.pop("mounts", []), host.home, path),
        "pass_env": parse_pass_env(table.pop("pass_env"), path) if "pass_env" in table else (),
        "config_links": parse_config_links(table.pop("config_links", []), host.home, path),
    }
    configured = _texts(table, path)
    sources: dict[str, str] = {}
    for setting in SETTINGS:
        text, source, culprit = setting.default, "default", setting.variable
        if setting.name in configured:
            text, source, culprit = configured[setting.name], path, f"{setting.name} in {path}"
        if host.environment.get(setting.variable):
            text, source, culprit = host.environment[setting.variable], "environment", setting.variable
        try:
            values[setting.name] = setting.kind(text)
        except ValueError as problem:
            raise UsageError(f"{culprit}={text!r} {problem}", f"It means: {setting.help}.") from None
        sources[setting.name] = source
    return Settings(values, sources)


def parse_mounts(value: object, home: str, source: str) -> tuple[ExtraMount, ...]:
    """The entries of `[[mounts]]` in the file `source`. Raises UsageError that names the entry and what is wrong in it."""
    if not isinstance(value, list):
        raise _wrong(source, 'mounts must be tables: write [[mounts]] and below it path = "/a/directory"')
    found: list[ExtraMount] = []
    for number, entry in enumerate(value, 1):
        mount = _parse_mount(entry, home, f"{source}: mounts, entry {number}")
        if mount.path in [other.path for other in found]:
            raise _wrong(f"{source}: mounts, entry {number}", f"path={mount.path!r} is there twice")
        found.append(mount)
    return tuple(found)


def _parse_mount(entry: object, home: str, place: str) -> ExtraMount:
    if not isinstance(entry, dict):
        raise _wrong(place, "must be a table with path and mode")
    if unknown := sorted(set(entry) - {"path", "mode"}):
        raise _wrong(place, f"there is no {unknown[0]!r}; there are path and mode")
    path, mode = entry.get("path"), entry.get("mode", "ro")
    if not isinstance(path, str) or not path.startswith(("/", "~/")) or not path.isprintable():
        raise _wrong(place, f"path={path!r} is no path of a directory; write it like /a/directory or ~/directory")
    if mode not in ("ro", "rw"):
        raise _wrong(place, f"mode={mode!r} is neither 'ro' nor 'rw'")
    return ExtraMount(_absolute(path, home), mode == "rw")


def _absolute(path: str, home: str) -> str:
    absolute = os.path.join(home, path[2:].lstrip("/")) if path.startswith("~/") else path
    return "/" + os.path.normpath(absolute).lstrip("/")


def parse_pass_env(value: object, source: str) -> tuple[str, ...]:
    """Names, and beginnings of names with `*` behind them. Raises UsageError that names the culprit."""
    from agentvm.variables import is_name, is_never_pattern

    if not isinstance(value, list):
        raise _wrong(source, 'pass_env must be a list like ["NAME", "PREFIX_*"]')
    for name in value:
        if not isinstance(name, str) or not is_name(name.removesuffix("*")):
            reason = "is not the name of a variable, nor the beginning of one with a * behind it"
        elif is_never_pattern(name):
            reason = "can't be passed: it is about the host, or agentvm sets it itself"
        elif value.count(name) > 1:
            reason = "is there twice"
        else:
            continue
        raise _wrong(source, f"pass_env: {name!r} {reason}")
    return tuple(value)


def parse_config_links(value: object, home: str, source: str) -> tuple[str, ...]:
    """Directories that links in the agents' directories may lead to. Raises UsageError that names the culprit."""
    if not isinstance(value, list):
        raise _wrong(source, 'config_links must be a list like ["~/dotfiles"]')
    for path in value:
        if not isinstance(path, str) or not path.startswith(("/", "~/")) or not path.isprintable():
            raise _wrong(source, f"config_links: {path!r} is no path of a directory")
    return tuple(_absolute(path, home) for path in value)


def _wrong(place: str, what: str) -> UsageError:
    return UsageError(f"{place}: {what}.", "Mend it there.")


def check_extra(host: Host, mount: ExtraMount) -> Mount:
    """The mount to make of it. Raises UsageError for a directory that is not there, or that no guest may see.

    A link is refused since a guest may have made it, in a directory that it can write.
    """
    config, path = config_path(host), mount.path
    if reason := _reason_against(host, path):
        raise UsageError(f"{path} can't be mounted: {reason}.", f"Take it out of {config}.")
    if not os.path.isdir(path):
        what = "it is no directory" if os.path.lexists(path) else "it is not there"
        raise UsageError(f"{path} can't be mounted: {what}.", f"Attach it, or take it out of {config}.")
    if (real := find_real(path)) != path:
        raise UsageError(f"{path} can't be mounted: a link leads to {real}.", f"Write that instead in {config}.")
    return Mount(path, path, mount.writable)


def check_config_links(host: Host, paths: tuple[str, ...]) -> tuple[str, ...]:
    """The directories' real paths. Raises UsageError for one from which nothing may come into a guest."""
    for path in paths:
        if reason := _reason_against(host, find_real(path)):
            hint = f"Take it out of {config_path(host)}."
            raise UsageError(f"Links to {path} can't be followed: {reason}.", hint)
    return tuple(map(find_real, paths))


def _reason_against(host: Host, path: str) -> str:
    from agentvm.project import system_reason

    if reason := system_reason(path, host.home):
        return reason
    if is_below(path, os.path.join(host.home, ".ssh")):
        return "it holds your ssh keys; AGENTVM_MOUNT_SSH=1 shares them"
    for own in _own_directories(host):
        if is_below(path, own) or is_below(own, path):
            return f"agentvm keeps in {own} what no guest may change"
    return ""


def _own_directories(host: Host) -> tuple[str, ...]:
    """Settings, state, code and VMs: who can write them can do all that the user can."""
    places = (("CONFIG", ".config"), ("STATE", ".local/state"), ("CACHE", ".cache"), ("DATA", ".local/share"))
    moved = (host.environment.get(f"XDG_{name}_HOME", "") for name, _ in places)
    roots = (*(os.path.join(host.home, path) for _, path in places), *filter(os.path.isabs, moved))
    return (os.path.join(host.home, ".lima"), *(os.path.join(os.path.normpath(root), "agentvm") for root in roots))


def _read_config(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            import tomllib

            return tomllib.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as problem:
        raise UsageError(f"{path} can't be read: {problem}", "Mend it, or move it away.") from None


def _texts(table: Mapping[str, Any], path: str) -> dict[str, str]:
    known = {setting.name for setting in SETTINGS}
    for key, value in table.items():
        if key not in known:
            guess = nearest(key, (*known, "mounts", "pass_env"))
            raise UsageError(f"{path}: there is no setting {key!r}.{guess}", "`agentvm help settings` has them all.")
        if not isinstance(value, str | int | float):
            raise UsageError(f"{path}: {key} must be a string, a number, or true or false", "Mend it there.")
    return {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in table.items()}
