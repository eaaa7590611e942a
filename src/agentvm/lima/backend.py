"""The port, on Lima."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from agentvm import process, terminal
from agentvm.console import one_line
from agentvm.errors import Error, UsageError
from agentvm.guest_shell import VARIABLE
from agentvm.lima import ssh
from agentvm.lima.directory import Directory, lima_home
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
from agentvm.paths import is_below
from agentvm.quoting import join
from agentvm.session import STARTER, signal_script
from agentvm.settings import Settings
from agentvm.state import allocated, make_private_directory, remove_file, write_atomically
from agentvm.untrusted import Answer

if TYPE_CHECKING:
    from agentvm.lima.limactl import Limactl

_LONGEST_PATH = {"darwin": 76, "linux": 80}
"""LIMA_HOME and the name together, in bytes: a socket's path has to fit (pkg/limatype/filenames)."""
_LONGEST_NAME = 59
"""The guest's host name is "lima-" and the name, and Linux takes 64."""
_BLIP = 60.0
"""Seconds that a starting instance may look broken."""
_SHUTDOWN = 180.0
"""Seconds that a guest gets to shut itself down before its machine is cut off: as many as Lima gives it."""
_FOREIGN_MOUNT = 2
"""The status of the script that places mounts when there is one too many."""
_PASSED = ("PATH", "HOME", "USER", "LOGNAME", "TERM", "COLORTERM", "TMPDIR")
"""What ssh itself gets of the environment."""


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
        from agentvm.lima.template import check_mount

        self._limactl.check_user()
        limit = min(_LONGEST_NAME, _LONGEST_PATH.get(self._host.platform, 76) - len(os.fsencode(self._home)))
        if len(spec.name) > limit:
            raise UsageError(
                f"The name {spec.name} is too long for Lima in {self._home}: {len(spec.name)} of {limit} characters.",
                "Shorten AGENTVM_INSTANCE_PREFIX, or the path in LIMA_HOME.",
            )
        kind = self._mount_type() if spec.mounts else ""
        for mount in spec.mounts:
            check_mount(mount, kind, self._host.platform)
            if is_below(self._home, mount.location):
                raise UsageError(
                    f"{mount.location} holds Lima's own directory {self._home}.", "Work in another directory."
                )

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
        from agentvm.lima.template import base_document

        self._make(spec, lambda: self._limactl.create(spec.name, base_document(template, self._mount_type())))
        entry = self._entry(spec.name)
        self._directory(spec.name).write_label(Label(spec, int(time.time()), _resources(entry)))
        self._unclaim(spec.name)

    def clone(self, source: str, spec: InstanceSpec) -> None:
        label = self._directory(source).read_label()
        native = label.native if label else Resources()
        if 0 < spec.resources.disk < native.disk:
            raise _shrinks(spec, native)
        self._make(spec, lambda: self._limactl.clone(source, spec.name, self._expression(spec, spec.resources)))
        self._detach(source, spec.name)
        self._check_mounts(spec, self._entry(spec.name))
        self._directory(spec.name).write_label(Label(spec, int(time.time()), native))
        self._unclaim(spec.name)

    def reconfigure(self, spec: InstanceSpec) -> None:
        self._settle(spec.name)
        label = self._label(spec.name)
        wanted = _or_native(spec.resources, label.native)
        have = _resources(self._entry(spec.name))
        if 0 < wanted.disk < have.disk:
            if spec.resources.disk:
                raise _shrinks(spec, have)
            wanted = wanted._replace(disk=have.disk)
        self._limactl.edit(spec.name, self._expression(spec, wanted))
        self._check_mounts(spec, self._entry(spec.name))
        self._directory(spec.name).write_label(label._replace(spec=spec))

    def start(self, name: str) -> None:
        self._settle(name)
        directory = self._directory(name)
        label = self._label(name)
        entry = self._entry(name)
        if _status(entry) is not Status.STOPPED:
            self._check_mounts(label.spec, entry)
            if not self._await(name):
                entry = self._entry(name)
        if _status(entry) is Status.STOPPED:
            self._prepare(label.spec, entry)
            self._check_places(label.spec)
            self._boot(name)
            self._check_places(label.spec)
            self._connect(name)
        self._place_mounts(label.spec)
        directory.mark_ready()

    def stop(self, name: str, force: bool = False) -> None:
        self._settle(name)
        status = _status(self._entry(name))
        if status is Status.STOPPED:
            return
        if force:
            self._shut_down(name)
        self._limactl.stop(name, force)

    def delete(self, name: str) -> None:
        self._settle(name)
        directory = self._directory(name)
        whole = directory.read_label() is not None
        if whole and (status := _status(self._entry(name))) is not Status.STOPPED:
            raise Error(f"{name} is {status.value}, so it is not deleted.", f"`agentvm stop {name}` stops it.")
        if directory.exists():
            # From now on it is incomplete: what a kill leaves of it has no other way to go on.
            self._claim(name)
            directory.remove_label()
        if directory.configured():
            self._limactl.delete(name, force=not whole)
        directory.remove()
        self._unclaim(name)
        self._limactl.forget(name)

    def progress(self, name: str) -> str:
        from agentvm.lima.stages import describe

        return describe(self._directory(name), self._host.home)

    def run(self, name: str, command: Command, output: Callable[[bytes], None]) -> int:
        words = ("sudo", "-n", "--", *command.argv) if command.root else command.argv
        argv = ssh.command_argv(self._directory(name), name, words)
        return process.stream(argv, self._environment(), output, timeout=command.timeout, stdin=command.stdin)

    def session(self, name: str, session: Session) -> int:
        command = "exec " + join(("/bin/sh", "-c", session.script)) if session.open else STARTER
        argv = ssh.session_argv(self._directory(name), name, session.terminal, VARIABLE, command, session.agent)
        environment = {**self._environment(), VARIABLE: session.script}
        if session.agent:
            environment["SSH_AUTH_SOCK"] = self._host.environment.get("SSH_AUTH_SOCK", "")

        def send(signal_name: str) -> bool:
            words = ("/bin/sh", "-c", signal_script(session.token, signal_name))
            return self.run(name, Command(words, timeout=10), _discard) == 0

        guest = terminal.Guest(lambda streams: process.spawn(argv, environment, streams), send)
        return terminal.attend(guest, session.terminal, session.suspended.encode())

    def pipe(self, name: str, words: tuple[str, ...]) -> AbstractContextManager[process.Piped]:
        return process.piped(ssh.command_argv(self._directory(name), name, words), self._environment())

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
            ssh.command_argv(self._directory(name), name, ("sh", "-c", as_root, "sh", script))
            for name, script in ((source, homecopy.PACK), (target, homecopy.UNPACK))
        )
        homecopy.copy_home(pack, unpack, self._environment(), passed)

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

    def _environment(self) -> dict[str, str]:
        return {name: value for name, value in self._host.environment.items() if name in _PASSED}

    # An instance that is being made or deleted is claimed by a file of ours, so that what a killed run left is told from somebody
    # else's instance, which also has no label.

    def _claim_path(self, name: str) -> str:
        return os.path.join(self._state, "making", name)

    def _is_claimed(self, name: str) -> bool:
        return os.path.exists(self._claim_path(name))

    def _is_unfinished(self, name: str) -> bool:
        """Whether an instance without a label is one that we began to make: ours by prefix, not by a name that looks so."""
        carried = self._directory(name).carried_prefix()
        return self._is_claimed(name) or (bool(carried) and carried == self._settings.instance_prefix)

    def _claim(self, name: str) -> None:
        make_private_directory(os.path.dirname(self._claim_path(name)))
        write_atomically(self._claim_path(name), f"{os.getpid()}\n".encode())

    def _unclaim(self, name: str) -> None:
        remove_file(self._claim_path(name))

    def _make(self, spec: InstanceSpec, make: Callable[[], None]) -> None:
        directory = self._directory(spec.name)
        self._limactl.settle(spec.name)
        if directory.exists():
            raise Error(f"There is an instance {spec.name} already.", "`agentvm list` shows what is there.")
        self._claim(spec.name)
        try:
            make()
        except BaseException:
            directory.remove()
            self._unclaim(spec.name)
            raise

    def _mount_type(self) -> str:
        from agentvm.lima.virtiofs import mount_type

        return mount_type(self._host)

    def _expression(self, spec: InstanceSpec, resources: Resources) -> str:
        from agentvm.lima.template import check_mount, edit_expression

        kind = self._mount_type()
        for mount in spec.mounts:
            # Again, since virtiofsd may be gone since the instance was made.
            check_mount(mount, kind, self._host.platform)
        return edit_expression(spec.mounts, resources, kind)

    def _check_mounts(self, spec: InstanceSpec, entry: dict[str, Any]) -> None:
        """Refuse mounts that were not asked for: Lima merges `_config/default.yaml` and `override.yaml` at every load."""
        from agentvm.lima.template import effective_mounts, wanted_mounts

        config = entry.get("config") or {}
        have, want = effective_mounts(config), wanted_mounts(spec.mounts)
        if have != want:
            extra = ", ".join(mount[0] for mount in have if mount not in want) or "fewer directories"
            raise Error(
                f"Lima would not show {spec.name} what was asked for: {extra}.",
                self._configuration_hint(),
            )
        if config.get("mounts") and config.get("mountType") == "reverse-sshfs":
            raise Error(
                "Lima would mount by reverse-sshfs, which lets a guest read all your files.",
                "Install the Rust virtiofsd, or use a base template whose guest has 9p.",
            )

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

    def _configuration_hint(self) -> str:
        return f"Look for mounts in {self._home}/_config/default.yaml and override.yaml."

    def _prepare(self, spec: InstanceSpec, entry: dict[str, Any]) -> None:
        """Bring the configuration to what the label says: a killed change may have left another, virtiofsd may be gone."""
        from agentvm.lima.template import effective_mounts, wanted_mounts

        config = entry.get("config") or {}
        moved = bool(spec.mounts) and config.get("mountType") != self._mount_type()
        if moved or effective_mounts(config) != wanted_mounts(spec.mounts):
            self._limactl.edit(spec.name, self._expression(spec, Resources()))
            self._check_mounts(spec, self._entry(spec.name))

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
        while not ((running := self._directory(name).last_event().get("running")) and self._is_connected(name)):
            # One that ran already goes down, which takes so long at most, or its root doesn't let ssh in.
            silent = silent or time.monotonic() if running else 0.0
            if silent and time.monotonic() - silent > _SHUTDOWN:
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

    def _connect(self, name: str) -> None:
        if not self._is_connected(name):
            raise self._unreachable(name)

    def _unreachable(self, name: str) -> Error:
        return Error(
            f"{name} runs, but takes no connection by ssh.",
            f"Lima's log is {self._directory(name).log}; `agentvm stop {name}` and try again.",
        )

    def _is_connected(self, name: str) -> bool:
        """Whether the shared connection is open, on which every session travels, after it was tried to open it."""
        directory = self._directory(name)
        directory.drop_stale_masters()
        if directory.ssh_answers():
            return True
        argv = ssh.master_argv(directory, name, VARIABLE)
        try:
            return process.detach(argv, self._environment(), timeout=60) == 0 and directory.ssh_answers()
        except process.TooSlow:
            return False

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
                self._configuration_hint(),
            )
        if status != 0:
            raise Error(f"{spec.name} runs without all its directories: {text}", "`agentvm stop` it and try again.")

    def _shut_down(self, name: str) -> None:
        """Have a guest that still lives shut itself down: by force, its machine is cut off, with all that is not written."""
        from agentvm.lima.processes import machine_lives

        directory = self._directory(name)
        directory.drop_stale_masters()
        if not machine_lives(directory, self._host) or not self._obeys(name, "true"):
            return
        self._report(f"{name} is shut down from inside, so that nothing is lost")
        self._obeys(name, "systemctl poweroff || poweroff")
        deadline = time.monotonic() + _SHUTDOWN
        while machine_lives(directory, self._host):
            if time.monotonic() > deadline:
                self._report(f"{name} did not shut down in {_SHUTDOWN:.0f} seconds, and is cut off")
                return
            time.sleep(0.5)

    def _obeys(self, name: str, script: str) -> bool:
        """Whether the guest's root did it, in a short time."""
        try:
            return self.run(name, Command(("/bin/sh", "-c", script), root=True, timeout=30), _discard) == 0
        except Error:
            return False

    def _detach(self, source: str, name: str) -> None:
        """Make a clone of Lima 2.0 independent: its disk still names the source's, by an absolute path."""
        disk = os.path.join(self._home, name, "diffdisk")
        backing = os.path.join(self._home, name, "basedisk")
        if os.path.islink(disk) or not (os.path.isfile(disk) and os.path.isfile(backing)):
            return
        done = process.run(("qemu-img", "info", "--output=json", disk), self._host.environment, timeout=60)
        information = json.loads(done.stdout or b"{}")
        if information.get("format") != "qcow2" or not information.get("backing-filename"):
            return
        form = str(information.get("backing-filename-format", "qcow2"))
        argv = ("qemu-img", "rebase", "-u", "-f", "qcow2", "-F", form, "-b", backing, disk)
        if (done := process.run(argv, self._host.environment, timeout=60)).status != 0:
            raise Error(f"The copy of {source} still needs it: {done.stderr.decode(errors='replace').strip()}")


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


def _discard(data: bytes) -> None:
    """Nobody wants to see it."""
