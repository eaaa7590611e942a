"""Actions -> effects, one after the other, with a word about each. The caller holds the locks."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

from agentvm.context import Context
from agentvm.errors import Error
from agentvm.files import make_private_directory
from agentvm.model import InstanceSpec
from agentvm.plan import Action, Clone, CopyHome, Create, Delete, Plan, Provision, Reconfigure, Seal, Start, Stop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from io import FileIO

    from agentvm.provision import Step


def apply(context: Context, plan: Plan) -> None:
    """Carry out a plan, or only print it with --dry-run. Raises Error at the first action that fails."""
    for action in plan:
        if context.dry_run:
            context.console.say(f"would {action}")
        elif isinstance(action, Provision):
            _provision(context, action)
        elif isinstance(action, CopyHome):
            _copy_home(context, action)
        else:
            with context.console.work(str(action), _look(context, action)):
                _carry_out(context, action)
    if any(isinstance(action, Clone | Delete) for action in plan) and os.path.exists(context.state.ssh_file):
        from agentvm.sshfile import refresh

        refresh(context)


def _look(context: Context, action: Action) -> Callable[[], str]:
    """What tells how far an action is; `str` tells nothing."""
    match action:
        case Create(spec) | Clone(_, spec):
            return partial(context.backend.progress, spec.name)
        case Start(name):
            return partial(context.backend.progress, name)
        case _:
            return str


def _carry_out(context: Context, action: Action) -> None:
    backend = context.backend
    match action:
        case Create(spec):
            backend.create(spec, context.settings.base_template)
        case Clone(source, spec):
            make_locations(spec)
            backend.clone(source, spec)
        case Reconfigure(spec):
            make_locations(spec)
            backend.reconfigure(spec)
        case Start(name):
            if (found := backend.find(name)) and found.label:
                make_locations(found.label.spec)
            backend.start(name)
        case Stop(name, force):
            backend.stop(name, force)
        case Delete(name):
            backend.delete(name)
        case Seal(name):
            _seal(context, name)


def make_locations(spec: InstanceSpec) -> None:
    """Make what is to be mounted and isn't there, for the user alone; Lima would make it for everybody to read."""
    for mount in spec.mounts:
        if mount.location != spec.project:
            make_private_directory(mount.location)


def _copy_home(context: Context, action: CopyHome) -> None:
    """Nobody knows beforehand how much it is; so it is told how much passed."""
    size = 0

    def passed(total: int) -> None:
        nonlocal size
        size = total

    with context.console.work(str(action), lambda: f"{size / 2**20:.0f} MiB"):
        context.backend.copy_home(action.source, action.target, passed)
    context.console.say(f"copied {size / 2**20:.0f} MiB, and it is whole")


def _seal(context: Context, name: str) -> None:
    from agentvm.provision import SEAL

    if context.backend.run(name, SEAL, context.console.pass_on) != 0:
        raise Error(f"The machine id of {name} could not be emptied.", "`agentvm base shell` looks into the base.")


def _provision(context: Context, action: Provision) -> None:
    """Run every step, told of as it goes on, and into a log. A failure leaves the base as it is, for a look into it."""
    from agentvm.manifest import load_manifest
    from agentvm.provision import provisioning_steps

    steps = provisioning_steps(load_manifest(context.settings.base_manifest_dir))
    path = context.state.log("provision")
    context.console.say(f"{action}: {len(steps)} steps; the log is {path}")
    with open(path, "ab", buffering=0) as log:
        for number, step in enumerate(steps, 1):
            log.write(f"--- {step.title}\n".encode())
            with context.console.work(f"[{number}/{len(steps)}] {step.title}"):
                _take(context, action.name, step, log, path)


def _take(context: Context, name: str, step: Step, log: FileIO, path: str) -> None:
    from agentvm.provision import Packages

    packages = Packages()

    def output(data: bytes) -> None:
        log.write(data)
        context.console.pass_on(data)
        if stage := packages.read(data):
            context.console.stage(stage)

    if (status := context.backend.run(name, step.command, output)) != 0:
        raise Error(
            f"Provisioning failed: {step.title} ended with status {status}; the log is {path}",
            "Mend the manifest and run `agentvm base apply` again; `agentvm base shell` looks into the base. "
            "Projects go on with the last snapshot.",
        )
