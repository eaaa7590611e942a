"""Which instance a command is about: the current project's, or the one that was named."""

from __future__ import annotations

from agentvm.context import Context
from agentvm.errors import Error, nearest
from agentvm.model import Instance, InstanceSpec, Resources, Role
from agentvm.plan import check_ours
from agentvm.project import Project, base_name, find_project, instance_name
from agentvm.sharing import Sharing


def current_project(context: Context) -> Project:
    return find_project(context.host.directory, context.host.home)


def current_name(context: Context) -> str:
    return instance_name(context.prefix, current_project(context).root)


def project_spec(context: Context, project: Project, sharing: Sharing) -> InstanceSpec:
    settings = context.settings
    return InstanceSpec(
        name=instance_name(context.prefix, project.root),
        prefix=context.prefix,
        role=Role.PROJECT,
        project=project.root,
        mounts=sharing.mounts,
        resources=Resources(settings.cpus, settings.memory, settings.disk),
    )


def named_instance(context: Context, name: str) -> Instance:
    """An instance that is agentvm's, or an unfinished one, by its name; Error for any other."""
    found = context.backend.find(name) if _is_name(name) else None
    if found is None:
        guess = nearest(name, _our_names(context))
        raise Error(f"There is no instance {name!r}.{guess}", "`agentvm list` shows those that are there.")
    if not (is_unfinished(found) and name.startswith(f"{context.prefix}-")):
        check_ours(found, context.prefix)
    return found


def _our_names(context: Context) -> tuple[str, ...]:
    labels = (instance.label for instance in context.backend.list())
    return tuple(label.spec.name for label in labels if label and label.spec.prefix == context.prefix)


def is_unfinished(instance: Instance) -> bool:
    return instance.status.value == "incomplete"


def lock_name(context: Context, instance: Instance) -> str:
    """Whose lock guards an instance: a golden is guarded by the base's, and a project's VM by its project's, whatever
    it is called while it is moved or replaced."""
    label = instance.label
    if label and label.spec.project:
        return instance_name(context.prefix, label.spec.project)
    return base_name(context.prefix) if label and label.spec.role is Role.GOLDEN else instance.name


def _is_name(name: str) -> bool:
    return bool(name) and "/" not in name and not name.startswith((".", "-", "_"))
