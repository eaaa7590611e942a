"""What `--json` prints, key by key: the reference page is made from it, and a test holds the output to it.

Keys are added without a word. When one changes its meaning or goes away, `SCHEMA` counts up.
"""

from __future__ import annotations

from typing import NamedTuple

SCHEMA = 1


class Key(NamedTuple):
    """One key of an object. `kind` is one of KINDS, or the name of an object in OBJECTS, with "[]" for a list of them."""

    name: str
    kind: str
    meaning: str
    optional: bool = False
    """Whether it may be null."""


KINDS = {"string": str, "integer": int, "boolean": bool, "object": dict}

_GENERATION = Key(
    "generation", "integer", "number of the base's snapshot: its own, or the one it was cloned from", True
)
_OLDER = Key("older_than_base", "boolean", "whether there is a newer snapshot than that")
_CREATED = Key("created", "integer", "when it was made", True)
_DISK = Key("disk", "integer", "bytes that its files really have on disk", True)
_SESSIONS = Key("sessions", "session[]", "those that run now")
_LAST_USE = Key("last_use", "integer", "when a session last began or ended", True)
_SINCE = Key("running_since", "integer", "when it was started", True)
_SCHEMA = Key("schema", "integer", "the number of this description")

OBJECTS = {
    "status": (
        _SCHEMA,
        Key("project", "string", "directory of the project"),
        Key("instance", "string", "name of its VM, also when there is none yet"),
        Key("status", "string", "absent, running, starting, stopped, broken or incomplete"),
        _GENERATION,
        Key("newest_generation", "integer", "number of the newest snapshot", True),
        _OLDER,
        Key("pending_change", "boolean", "whether the next run changes what is shared, or resources"),
        _CREATED,
        _DISK,
        _SINCE,
        _LAST_USE,
        Key("mounts", "mount[]", "what is shared"),
        Key("agents", "object", "versions of the agents by their names, if the VM runs and tells them", True),
        _SESSIONS,
    ),
    "list": (_SCHEMA, Key("instances", "instance[]", "by name")),
    "instance": (
        Key("name", "string", "name of the VM"),
        Key("prefix", "string", "the first part of its name"),
        Key("status", "string", "running, starting, stopped, broken or incomplete"),
        Key("role", "string", "base, golden, project or draft; null when it is half-made", True),
        Key("project", "string", "directory of the project", True),
        Key("project_exists", "boolean", "whether that is there", True),
        _GENERATION,
        _OLDER,
        _CREATED,
        _DISK,
        _SINCE,
        _LAST_USE,
        _SESSIONS,
    ),
    "doctor": (
        _SCHEMA,
        Key("findings", "finding[]", "in the order of the text"),
    ),
    "mount": (
        Key("location", "string", "directory of the host"),
        Key("point", "string", "where the guest has it"),
        Key("writable", "boolean", "whether the guest may write"),
    ),
    "session": (
        Key("pid", "integer", "process id of agentvm on the host"),
        Key("what", "string", "the agent, or the program"),
        Key("since", "integer", "when it began"),
    ),
    "finding": (
        Key("verdict", "string", "ok, warning or error"),
        Key("subject", "string", "what was looked at"),
        Key("text", "string", "what was found"),
        Key("hint", "string", "what mends it, in words; may be empty"),
        Key("command", "string", "a command line that mends it; may be empty"),
    ),
}
