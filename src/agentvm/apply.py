"""Actions -> effects, one after the other, with a word about each. The caller holds the locks."""

from __future__ import annotations

import time

from agentvm.context import Context
from agentvm.errors import Error
from agentvm.model import InstanceSpec
from agentvm.plan import Action, Clone, CopyHome, Create, Delete, Plan, Provision, Reconfigure, Seal, Start, Stop
from agentvm.state import make_private_directory

_TELL = 10.0
"""Seconds between two words about how far it is."""


def apply(context: Context, plan: Plan) -> None:
    """Carry out a plan, or only print it with --dry-run. Raises Error at the first action that fails."""
    for action in plan:
        context.console.say(f"{'would ' if context.dry_run else ''}{action}")
        if not context.dry_run:
            _carry_out(context, action)


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
        case Provision() | Seal() | CopyHome():
            _carry_out_inside(context, action)


def _carry_out_inside(context: Context, action: Provision | Seal | CopyHome) -> None:
    """What happens in guests."""
    match action:
        case Provision(name):
            _provision(context, name)
        case Seal(name):
            _seal(context, name)
        case CopyHome(source, target):
            _copy_home(context, source, target)


def make_locations(spec: InstanceSpec) -> None:
    """Make what is to be mounted and isn't there, for the user alone; Lima would make it for everybody to read."""
    for mount in spec.mounts:
        if mount.location != spec.project:
            make_private_directory(mount.location)


def _copy_home(context: Context, source: str, target: str) -> None:
    """With a word now and then: it can take long, and nobody knows beforehand how much it is."""
    told, size = time.monotonic(), 0

    def passed(total: int) -> None:
        nonlocal told, size
        size = total
        if time.monotonic() - told >= _TELL:
            told = time.monotonic()
            context.console.say(f"copied {total / 2**20:.0f} MiB")

    context.backend.copy_home(source, target, passed)
    context.console.say(f"copied {size / 2**20:.0f} MiB, and it is whole")


def _seal(context: Context, name: str) -> None:
    from agentvm.provision import SEAL

    if context.backend.run(name, SEAL, context.console.pass_on) != 0:
        raise Error(f"The machine id of {name} could not be emptied.", "`agentvm base shell` looks into the base.")


def _provision(context: Context, name: str) -> None:
    """Run every step, live and into a log. A failure leaves the base as it is, for a look into it."""
    from agentvm.manifest import load_manifest
    from agentvm.provision import provisioning_steps

    steps = provisioning_steps(load_manifest(context.settings.base_manifest_dir))
    path = context.state.log("provision")
    context.console.say(f"provisioning from {len(steps)} steps; the log is {path}")
    with open(path, "ab", buffering=0) as log:

        def output(data: bytes) -> None:
            log.write(data)
            context.console.pass_on(data)

        for number, step in enumerate(steps, 1):
            context.console.say(f"[{number}/{len(steps)}] {step.title}")
            log.write(f"--- {step.title}\n".encode())
            if (status := context.backend.run(name, step.command, output)) != 0:
                raise Error(
                    f"Provisioning failed: {step.title} ended with status {status}; the log is {path}",
                    "Mend the manifest and run `agentvm base apply` again; `agentvm base shell` looks into the base. "
                    "Projects go on with the last snapshot.",
                )
