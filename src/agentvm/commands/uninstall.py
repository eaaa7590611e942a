"""`agentvm uninstall`: take away what agentvm made on this computer, and nothing else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from typing import NamedTuple

from agentvm import resources, sshfile
from agentvm.agents import AGENTS
from agentvm.commands.arguments import parse
from agentvm.commands.listing import our_instances
from agentvm.commands.shims import DEFAULT, is_installed_shim
from agentvm.commands.target import lock_name, named_instance
from agentvm.context import Context
from agentvm.errors import Error
from agentvm.instances import carry_out
from agentvm.model import Instance
from agentvm.plan import plan_remove
from agentvm.project import base_name
from agentvm.settings import config_path
from agentvm.sharing import login_directory

_FAKE = "fake"


class Step(NamedTuple):
    """Something to remove: in words, and how."""

    text: str
    remove: Callable[[], object]


def uninstall(context: Context, arguments: tuple[str, ...]) -> int:
    """VMs hold work, so they stay unless asked for. Asks before it begins; without a terminal it needs --yes."""
    options = parse("uninstall", arguments)
    if options.dry_run:
        context = context.rehearse()
    instances = our_instances(context, context.backend.list())
    _refuse_while_used(context, instances)
    kept = () if options.vms else instances
    steps = tuple(_steps(context, instances if options.vms else (), kept))
    for step in steps:
        context.console.say(f"{'would remove' if context.dry_run else 'to be removed:'} {step.text}")
    _tell_kept(context, kept)
    if context.dry_run:
        return 0
    if not steps:
        context.console.say("there is nothing to remove")
    elif not options.yes and not _agreed(context):
        raise Error("Nothing was removed.", "`agentvm uninstall --yes` does it without asking.")
    else:
        _remove(context, instances, steps, bool(kept))
    context.console.say(f"agentvm itself is {resources.program()}; remove it as you installed it")
    return 0


def _agreed(context: Context) -> bool:
    asks = context.host.stdin_terminal and context.host.stderr_terminal
    return asks and context.console.confirm("remove all of this?")


def _remove(context: Context, instances: tuple[Instance, ...], steps: tuple[Step, ...], keeps_vms: bool) -> None:
    """Under the locks of all instances: nobody begins to use one, and whoever changes one has finished."""
    with ExitStack() as held:
        for name in sorted({base_name(context.prefix), *(lock_name(context, instance) for instance in instances)}):
            held.enter_context(context.state.change(name, "uninstalling agentvm"))
        _refuse_while_used(context, instances)
        for step in steps:
            step.remove()
        # The locks themselves, where there was nothing else.
        _remove_state(context.state.directory, keeps_vms)
    if not _other_prefixes(context):
        context.state.forget_shims()
    for directory in _hollow(context):
        with suppress(OSError):
            os.rmdir(directory)


def _refuse_while_used(context: Context, instances: tuple[Instance, ...]) -> None:
    used = [
        f"{record.what} in {instance.name} (process {record.pid})"
        for instance in instances
        for record in context.state.sessions(instance.name)
    ]
    if used:
        raise Error(f"agentvm is in use: {', '.join(used)}.", "End these sessions, and try again.")


def _steps(context: Context, instances: tuple[Instance, ...], kept: tuple[Instance, ...]) -> Iterator[Step]:
    for instance in instances:
        yield Step(f"the VM {instance.name}, with its disk", partial(_delete, context, instance.name))
    if sshfile.is_included(context):
        yield Step("the line of agentvm in ~/.ssh/config", partial(sshfile.exclude, context))
    if not _other_prefixes(context):
        yield from (Step(path, partial(os.unlink, path)) for path in _shims(context))
        # What lies in it is a hard link: the login itself stays where it is.
        yield from _trees(login_directory(context.host))
    state = context.state.directory
    if os.path.isdir(state):
        yield Step(state, partial(_remove_state, state, bool(kept)))
    if not _other_prefixes(context):
        # The modules of the running program, too: all that is still needed has been imported.
        yield from _trees(resources.cache())


def _trees(path: str) -> Iterator[Step]:
    if path and os.path.isdir(path) and not os.path.islink(path):
        yield Step(path, partial(shutil.rmtree, path))


def _delete(context: Context, name: str) -> None:
    if context.backend.find(name) is not None:
        carry_out(context, name, plan_remove(named_instance(context, name)), "removing it")


def _remove_state(directory: str, keeps_vms: bool) -> None:
    """The fake backend may have its instances in it."""
    if not os.path.isdir(directory):
        return
    if not (keeps_vms and os.path.isdir(os.path.join(directory, _FAKE))):
        shutil.rmtree(directory)
        return
    for name in os.listdir(directory):
        path = os.path.join(directory, name)
        if name != _FAKE:
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)


def _shims(context: Context) -> tuple[str, ...]:
    """Those that install-shims wrote: where it noted that it did, where it does by default, and on the PATH."""
    path = context.host.environment.get("PATH", "").split(os.pathsep)
    places = (*context.state.shims(), os.path.join(context.host.home, DEFAULT), *filter(os.path.isabs, path))
    paths = dict.fromkeys(os.path.join(place, name) for place in places for name in AGENTS)
    return tuple(path for path in paths if is_installed_shim(path))


def _other_prefixes(context: Context) -> tuple[str, ...]:
    """With another prefix agentvm goes on working, and needs what all of them share."""
    root, own = os.path.split(context.state.directory)
    try:
        return tuple(sorted(name for name in os.listdir(root) if name != own and not name.startswith(".")))
    except OSError:
        return ()


def _hollow(context: Context) -> tuple[str, ...]:
    """Directories that go when nothing is left in them."""
    shims, data = os.path.join(context.host.home, DEFAULT), os.path.dirname(login_directory(context.host))
    return (shims, os.path.dirname(shims), data, os.path.dirname(context.state.directory))


def _tell_kept(context: Context, kept: tuple[Instance, ...]) -> None:
    if kept:
        context.console.say(
            f"{len(kept)} VM{'s' if len(kept) > 1 else ''} and their disks stay; --vms removes them too"
        )
    if others := _other_prefixes(context):
        context.console.say(f"shims, cache and opencode's login stay, for the prefix {', '.join(others)}")
    if os.path.exists(config := config_path(context.host)):
        context.console.say(f"your settings stay, in {config}")
