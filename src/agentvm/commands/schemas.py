"""The form of every `--json`, key by key: what the reference says, and tests hold the commands to.

Keys are added without a word. When one changes its meaning or goes away, `SCHEMA` counts up.
"""

from __future__ import annotations

SCHEMA = 1


class Key:
    """One key. `kind` is string, integer, boolean, object, list or any; "or null" stands behind it where that may be."""

    def __init__(self, name: str, kind: str, meaning: str) -> None:
        self.name = name
        self.kind = kind
        self.meaning = meaning


class Schema:
    """`path` leads to the entries of a list in a command's output; without it the object itself is meant."""

    def __init__(self, command: str, path: str, fields: tuple[Key, ...], version: int = SCHEMA) -> None:
        self.command = command
        self.version = version
        self.path = path
        self.fields = fields

    @property
    def title(self) -> str:
        return f"{self.command}: each of {self.path}" if self.path else self.command

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(key.name for key in self.fields)

    @property
    def keys(self) -> tuple[tuple[str, str], ...]:
        return tuple((key.name, f"{key.kind}: {key.meaning}") for key in self.fields)


_VERSION = Key("schema", "integer", "number of this form")
_STATES = "running, starting, stopped, broken or incomplete"
_GENERATION = Key(
    "generation", "integer or null", "number of the base's snapshot: its own, or the one that it was cloned from"
)
_OLDER = Key("older_than_base", "boolean", "whether there is a newer snapshot than that")
_LASTING = (
    Key("created", "integer or null", "when it was made: Unix time in seconds, as all times here"),
    Key("disk", "integer or null", "bytes that its files really have on disk"),
    Key("running_since", "integer or null", "when it was started, if it runs"),
    Key("last_use", "integer or null", "when a session last began or ended, as far as is known"),
)
_SESSIONS = Key("sessions", "list", "those that run now")
_SESSION = (
    Key("pid", "integer", "process id of agentvm"),
    Key("what", "string", "the agent, or the program"),
    Key("since", "integer", "when it began"),
)

SCHEMAS = (
    Schema(
        "status",
        "",
        (
            _VERSION,
            Key("project", "string", "the project's directory"),
            Key("instance", "string", "the name of its VM, which need not be there"),
            Key("status", "string", f"absent, {_STATES}"),
            _GENERATION,
            Key("newest_generation", "integer or null", "number of the newest snapshot"),
            _OLDER,
            Key("pending_change", "boolean", "whether the next run changes mounts or resources"),
            Key("config", "string", "what the VM has of the agents' directories: shared, overlay or isolated"),
            *_LASTING,
            Key("mounts", "list", "what is shared"),
            Key("agents", "object or null", "versions by name, as the running VM tells them"),
            _SESSIONS,
        ),
    ),
    Schema(
        "status",
        "mounts",
        (
            Key("location", "string", "on your computer"),
            Key("point", "string", "in the VM"),
            Key("writable", "boolean", "whether the VM may write"),
        ),
    ),
    Schema("status", "sessions", _SESSION),
    Schema("port", "", (_VERSION, Key("instance", "string", "the VM's name"), Key("ports", "list", "by number"))),
    Schema(
        "port",
        "ports",
        (
            Key("address", "string", "on which it listens in the VM"),
            Key("port", "integer", "its number"),
            Key("program", "string", "its name, or whose it is in brackets"),
            Key("reach", "string", "forwarded, taken, waiting, never or inside"),
            Key("url", "string or null", "where it is reached"),
        ),
    ),
    Schema(
        "review",
        "",
        (
            _VERSION,
            Key("project", "string", "the project's directory"),
            Key("changes", "list", "those to decide about"),
        ),
    ),
    Schema(
        "review",
        "changes",
        (
            Key("path", "string", "the file"),
            Key("run_by", "string", "what on your computer executes it"),
            Key("before", "list", "lines that were executed"),
            Key("after", "list", "lines that are executed now"),
        ),
    ),
    Schema("list", "", (_VERSION, Key("instances", "list", "by name"))),
    Schema(
        "list",
        "instances",
        (
            Key("name", "string", "the VM's name"),
            Key("prefix", "string", "the first part of it"),
            Key("status", "string", _STATES),
            Key("role", "string or null", "base, golden, project, or draft for what a rebase makes; null if half-made"),
            Key("project", "string or null", "the project's directory"),
            Key("project_exists", "boolean or null", "whether that is there"),
            _GENERATION,
            _OLDER,
            *_LASTING,
            _SESSIONS,
        ),
    ),
    Schema("list", "instances.sessions", _SESSION),
    Schema("doctor", "", (_VERSION, Key("findings", "list", "in the order of the text"))),
    Schema(
        "doctor",
        "findings",
        (
            Key("verdict", "string", "ok, warning or error"),
            Key("subject", "string", "what it is about"),
            Key("text", "string", "what was found"),
            Key("hint", "string", "what mends it, in words, or nothing"),
            Key("command", "string", "a command line that mends it, or nothing"),
        ),
    ),
    Schema(
        "settings",
        "",
        (
            _VERSION,
            Key("config", "string", "path of config.toml"),
            Key("config_exists", "boolean", "whether it is there"),
            Key("settings", "list", "every setting"),
            Key("mounts", "list", "those of config.toml"),
            Key("pass_env", "list", "names, and beginnings of names with * behind them"),
            Key("config_links", "list", "directories that links in the agents' directories may lead to"),
        ),
    ),
    Schema(
        "settings",
        "settings",
        (
            Key("name", "string", "as in config.toml"),
            Key("variable", "string", "in the environment"),
            Key("value", "any or null", "text, number (sizes in bytes, times in seconds) or boolean; null when hidden"),
            Key("default", "string", "as one writes it"),
            Key("source", "string", "default, environment or file"),
            Key("hidden", "boolean", "whether a value is set that may hold a token"),
            Key("help", "string", "what it is for"),
        ),
    ),
    Schema(
        "settings",
        "mounts",
        (Key("path", "string", "the directory"), Key("writable", "boolean", "whether the VM may write")),
    ),
)
