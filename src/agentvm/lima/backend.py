"""The port, on Lima."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from agentvm import process
from agentvm.console import one_line
from agentvm.errors import Error, UsageError
from agentvm.files import allocated
from agentvm.lima import ssh
from agentvm.lima.directory import Directory, lima_home
from agentvm.lima.guest import SHUTDOWN, Guest
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
from agentvm.settings import Settings
from agentvm.untrusted import Answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agentvm.lima.claims import Claims
    from agentvm.lima.configuration import Configuration
    from agentvm.lima.limactl import Limactl

_BLIP = 60.0
"""Seconds that a starting instance may look broken."""
_FOREIGN_MOUNT = 2
"""The status of the script that places mounts when there is one too many."""


class Lima:
    """Instances of Lima in one LIMA_HOME. `report` is told what a user may want to know on the way."""

    gateway = "host.lima.internal"
    variables: tuple[str, ...] = ("LIMA_HOME", "AGENTVM_LIMACTL")

    def __init__(self, host: Host, settings: Settings, state_directory: str, report: Callable[[str], None]) -> None:
        self._host = host
        self._settings = settings
        self._state = state_directory
        self._report = report
        self._home = lima_home(host)
        self._made: Limactl | None = None

    def validate(self, spec: InstanceSpec) -> None:
        self._limactl.check_user()
        self._configuration.validate(spec)

    def find(self, name: str) -> Instance | None:
        directory = self._directory(name)
        if not directory.exists():
            return None
        label = directory.read_label()
        if label and directory.is_ready():
            return Instance(name, Status.RUNNING, label)
        if not label and self._is_unfinished(name):
            return Instance(name, Status.INCOMPLETE, None)
        found = self._limactl.entries(name)
        return self._instance(found[0]) if found else Instance(name, Status.BROKEN, label, "Lima does not know it")

    def list(self) -> tuple[Instance, ...]:
        if not os.path.isdir(self._home):
            return ()
        return tuple(sorted(self._instance(entry) for entry in self._limactl.entries()))

    def create(self, spec: InstanceSpec, template: str) -> None:
        self._make(spec, lambda: self._limactl.create(spec.name, self._configuration.base(template)))
        entry = self._entry(spec.name)
        self._directory(spec.name).write_label(Label(spec, int(time.time()), _resources(entry)))
        self._claims.remove(spec.name)

    def clone(self, source: str, spec: InstanceSpec) -> None:
        from agentvm.lima.disk import detach

        label = self._directory(source).read_label()
        native = label.native if label else Resources()
        if 0 < spec.resources.disk < native.disk:
            raise _shrinks(spec, native)
        self._make(spec, lambda: self._limactl.clone(source, spec.name, self._configuration.edit(spec, spec.resources)))
        detach(source, self._directory(spec.name), self._host)
        self._check(spec)
        self._directory(spec.name).write_label(Label(spec, int(time.time()), native))
        self._claims.remove(spec.name)

    def reconfigure(self, spec: InstanceSpec) -> None:
        self._settle(spec.name)
        label = self._label(spec.name)
        wanted = _or_native(spec.resources, label.native)
        have = _resources(self._entry(spec.name))
        if 0 < wanted.disk < have.disk:
            if spec.resources.disk:
                raise _shrinks(spec, have)
            wanted = wanted._replace(disk=have.disk)
        self._limactl.edit(spec.name, self._configuration.edit(spec, wanted))
        self._check(spec)
        self._directory(spec.name).write_label(label._replace(spec=spec))

    def start(self, name: str) -> None:
        self._settle(name)
        directory = self._directory(name)
        label = self._label(name)
        entry = self._entry(name)
        if _status(entry) is not Status.STOPPED:
            self._configuration.check(label.spec, entry.get("config") or {})
            if not self._await(name):
                entry = self._entry(name)
        if _status(entry) is Status.STOPPED:
            self._prepare(label.spec, entry)
            self._check_places(label.spec)
            self._boot(name)
            self._check_places(label.spec)
            if not self._guest(name).is_connected():
                raise self._unreachable(name)
        self._place_mounts(label.spec)
        directory.mark_ready()

    def stop(self, name: str, force: bool = False) -> None:
        self._settle(name)
        status = _status(self._entry(name))
        if status is Status.STOPPED:
            return
        if force:
            self._guest(name).shut_down()
        self._limactl.stop(name, force)

    def delete(self, name: str) -> None:
        self._settle(name)
        directory = self._directory(name)
        whole = directory.read_label() is not None
        if whole and (status := _status(self._entry(name))) is not Status.STOPPED:
            raise Error(f"{name} is {status.value}, so it is not deleted.", f"`agentvm stop {name}` stops it.")
        if directory.exists():
            # From now on it is incomplete: what a kill leaves of it has no other way to go on.
            self._claims.add(name)
            directory.remove_label()
        if directory.configured():
            self._limactl.delete(name, force=not whole)
        directory.remove()
        self._claims.remove(name)
        self._limactl.forget(name)

    def progress(self, name: str) -> str:
        from agentvm.lima.stages import describe

        return describe(self._directory(name), self._host.home)

    def run(self, name: str, command: Command, output: Callable[[bytes], None]) -> int:
        return self._guest(name).run(command, output)

    def session(self, name: str, session: Session) -> int:
        return self._guest(name).attend(session)

    def pipe(self, name: str, words: tuple[str, ...]) -> AbstractContextManager[process.Piped]:
        return self._guest(name).pipe(words)

    def door(self, name: str) -> Door | None:
        return ssh.read_door(self._directory(name).read_ssh_config())

    def forwarded(self, name: str) -> frozenset[int]:
        from agentvm.listeners import listening_here

        agent = self._directory(name).hostagent()
        if not agent:
            raise Error(f"{name} is not running.", "`agentvm shell` in its project starts it.")
        return listening_here(self._host.environment, agent)

    def copy_home(self, source: str, target: str, passed: Callable[[int], None]) -> None:
        from agentvm import homecopy

        if self._label(target).spec.mounts:
            raise Error(f"{target} has mounts, which must not be written over.", "Try again.")
        # As root, since there may be files of root's in it; sudo would make HOME root's own.
        as_root = 'exec sudo -n -- sh -c "$1" sh "$HOME"'
        pack, unpack = (
            self._guest(name).command_argv(("sh", "-c", as_root, "sh", script))
            for name, script in ((source, homecopy.PACK), (target, homecopy.UNPACK))
        )
        homecopy.copy_home(pack, unpack, self._guest(source).environment, passed)

    def measure(self, name: str) -> Usage:
        directory = self._directory(name)
        return Usage(allocated(directory.path), directory.boot_time())

    def tidy(self, name: str, rehearse: bool = False) -> tuple[str, ...]:
        directory = self._directory(name)
        stale = directory.stale_masters()
        if not rehearse:
            directory.drop_stale_masters()
        return stale

    def check(self) -> tuple[Finding, ...]:
        from agentvm.lima.doctor import check_lima

        return check_lima(self._host, self._limactl, self._home)

    @property
    def _limactl(self) -> Limactl:
        if self._made is None:
            from agentvm.lima.limactl import Limactl

            self._made = Limactl(self._host, self._settings, os.path.join(self._state, "empty"), self._report)
        return self._made

    def _settle(self, name: str) -> None:
        """Wait for what a killed agentvm left at work, and don't let limactl take other programs for the instance's."""
        from agentvm.lima.processes import forget_strangers

        self._limactl.settle(name)
        forget_strangers(self._directory(name), self._host)

    @property
    def _configuration(self) -> Configuration:
        from agentvm.lima.configuration import Configuration

        return Configuration(self._host, self._home)

    @property
    def _claims(self) -> Claims:
        from agentvm.lima.claims import Claims

        return Claims(self._state)

    def _guest(self, name: str) -> Guest:
        return Guest(self._directory(name), name, self._host, self._report)

    def _directory(self, name: str) -> Directory:
        return Directory(os.path.join(self._home, name))

    def _label(self, name: str) -> Label:
        label = self._directory(name).read_label()
        if label is None:
            raise Error(f"{name} is not an instance of agentvm.", "`agentvm list` shows those that are.")
        return label

    def _entry(self, name: str) -> dict[str, Any]:
        found = self._limactl.entries(name)
        if not found:
            raise Error(f"{name} is gone: it was deleted by somebody else.", "Run the command again to make a new one.")
        return found[0]

    def _instance(self, entry: dict[str, Any]) -> Instance:
        name = str(entry["name"])
        directory = self._directory(name)
        label = directory.read_label()
        if label is None and self._is_unfinished(name):
            return Instance(name, Status.INCOMPLETE, None)
        status = _status(entry)
        if status is Status.STARTING and directory.is_ready():
            status = Status.RUNNING
        detail = one_line(str(entry.get("message", ""))) if status is Status.BROKEN else ""
        return Instance(name, status, label, detail, "" if label else directory.newer_version())

    def _is_unfinished(self, name: str) -> bool:
        """Whether an instance without a label is one that we began to make: ours by prefix, not by a name that looks so."""
        carried = self._directory(name).carried_prefix()
        return name in self._claims or (bool(carried) and carried == self._settings.instance_prefix)

    def _make(self, spec: InstanceSpec, make: Callable[[], None]) -> None:
        directory = self._directory(spec.name)
        self._limactl.settle(spec.name)
        if directory.exists():
            raise Error(f"There is an instance {spec.name} already.", "`agentvm list` shows what is there.")
        self._claims.add(spec.name)
        try:
            make()
        except BaseException:
            directory.remove()
            self._claims.remove(spec.name)
            raise

    def _check(self, spec: InstanceSpec) -> None:
        self._configuration.check(spec, self._entry(spec.name).get("config") or {})

    def _check_places(self, spec: InstanceSpec) -> None:
        """Lima follows links, and the guest of another project may be able to put one in a directory's place. Looked at
        before the start, since a clone takes minutes, and after it: what was swapped meanwhile is not left running."""
        from agentvm.lima.mounts import find_moved

        if moved := find_moved(spec.mounts):
            self.stop(spec.name, force=True)
            raise Error(
                f"{spec.name} was not started: a link took the place of {moved} just now, which another VM may have made.",
                "Look where it leads, and put the directory back.",
            )

    def _prepare(self, spec: InstanceSpec, entry: dict[str, Any]) -> None:
        """Bring the configuration to what the label says, and see that Lima makes nothing else of it."""
        if not self._configuration.is_current(spec, entry.get("config") or {}):
            self._limactl.edit(spec.name, self._configuration.edit(spec, Resources()))
            entry = self._entry(spec.name)
        self._configuration.check(spec, entry.get("config") or {})

    def _boot(self, name: str) -> None:
        done = self._limactl.start(name)
        if done.status == 0:
            return
        event = self._directory(name).last_event()
        if event.get("running") and not event.get("exiting"):
            errors = "; ".join(map(str, event.get("errors") or []))
            self._report(f"Lima says that {name} is degraded: {one_line(errors)}")
            return
        failure = self._limactl.failure("start", done)
        raise Error(
            failure.message, f"Lima's log is {self._directory(name).log}; AGENTVM_START_TIMEOUT gives it more time."
        )

    def _await(self, name: str) -> bool:
        """Wait until an instance that somebody else started takes connections; False when it stopped instead.

        That is how one ends whose guest was powered off from inside.
        """
        began = time.monotonic()
        deadline = began + float(self._settings.start_timeout)
        silent = 0.0
        while not ((running := self._directory(name).last_event().get("running")) and self._guest(name).is_connected()):
            # One that ran already goes down, which takes so long at most, or its root doesn't let ssh in.
            silent = silent or time.monotonic() if running else 0.0
            if silent and time.monotonic() - silent > SHUTDOWN:
                raise self._unreachable(name)
            if time.monotonic() > deadline:
                raise Error(
                    f"{name} was started, but did not get ready in {self._settings.start_timeout} seconds.",
                    f"`agentvm stop {name}` and try again; AGENTVM_START_TIMEOUT gives it more time.",
                )
            status = _status(self._entry(name))
            if status is Status.STOPPED:
                return False
            # Lima calls it broken while the hostagent is there and its machine is not yet.
            if status is Status.BROKEN and time.monotonic() - began > _BLIP:
                raise Error(
                    f"{name} stopped while it started.", f"Lima's log is {self._directory(name).log}; try again."
                )
            time.sleep(1)
        return True

    def _unreachable(self, name: str) -> Error:
        return Error(
            f"{name} runs, but takes no connection by ssh.",
            f"Lima's log is {self._directory(name).log}; `agentvm stop {name}` and try again.",
        )

    def _place_mounts(self, spec: InstanceSpec) -> None:
        """See every mount in the guest: cloud-init drops one that fails without a word. Bind those with unplain names.

        One that nobody asked for was in Lima's configuration at the moment of the start only: the guest is stopped.
        """
        from agentvm.lima.mounts import placing_script

        said = Answer()
        script = placing_script(spec.mounts).encode()
        status = self.run(spec.name, Command(("/bin/sh", "-s"), stdin=script, root=True, timeout=120), said.add)
        text = one_line(str(said))
        if status == _FOREIGN_MOUNT:
            self.stop(spec.name)
            raise Error(
                f"Lima showed {spec.name} what was not asked for: {text}. It is stopped again.",
                self._configuration.hint("mounts"),
            )
        if status != 0:
            raise Error(f"{spec.name} runs without all its directories: {text}", "`agentvm stop` it and try again.")


def _status(entry: dict[str, Any]) -> Status:
    """Lima's "Running" only says that two processes live."""
    if not entry.get("config"):
        return Status.BROKEN
    words = {"Running": Status.STARTING, "Stopped": Status.STOPPED}
    return words.get(str(entry.get("status")), Status.BROKEN)


def _resources(entry: dict[str, Any]) -> Resources:
    return Resources(int(entry.get("cpus") or 0), int(entry.get("memory") or 0), int(entry.get("disk") or 0))


def _or_native(wanted: Resources, native: Resources) -> Resources:
    return Resources(wanted.cpus or native.cpus, wanted.memory or native.memory, wanted.disk or native.disk)


def _shrinks(spec: InstanceSpec, have: Resources) -> UsageError:
    return UsageError(
        f"AGENTVM_DISK is smaller than the disk of {spec.name}, which has {have.disk // 2**30} GiB and can only grow.",
        "Raise it, or unset it.",
    )
