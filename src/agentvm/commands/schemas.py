"""The form of every `--json`: what `agentvm help json` and the reference say, and tests hold the commands to."""

from __future__ import annotations


class Schema:
    """`path` leads to the entries of a list in a command's output; without it the object itself is meant."""

    def __init__(self, command: str, version: int, path: str, keys: tuple[tuple[str, str], ...]) -> None:
        self.command = command
        self.version = version
        self.path = path
        self.keys = keys

    @property
    def title(self) -> str:
        return f"{self.command}: each of {self.path}" if self.path else self.command

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.keys)


_VERSION = ("schema", "number of this form")

SCHEMAS = (
    Schema(
        "status",
        1,
        "",
        (
            _VERSION,
            ("project", "the project's directory"),
            ("instance", "the VM's name"),
            ("status", "absent, incomplete, stopped, starting, running or broken"),
            ("generation", "number of the base's snapshot that it was cloned from"),
            ("newest_generation", "number of the newest snapshot"),
            ("older_than_base", "true or false"),
            ("pending_change", "true when the next run changes mounts or resources"),
            ("config", "what the VM has of the agents' directories: shared, overlay or isolated"),
            ("mounts", "a list"),
            ("agents", "versions by name, as the running VM tells them"),
            ("sessions", "a list"),
        ),
    ),
    Schema(
        "status",
        1,
        "mounts",
        (("location", "on your computer"), ("point", "in the VM"), ("writable", "true or false")),
    ),
    Schema(
        "status",
        1,
        "sessions",
        (("pid", "of agentvm"), ("what", "the program"), ("since", "Unix time in seconds")),
    ),
    Schema("port", 1, "", (_VERSION, ("instance", "the VM's name"), ("ports", "a list"))),
    Schema(
        "port",
        1,
        "ports",
        (
            ("address", "on which it listens in the VM"),
            ("port", "its number"),
            ("program", "its name, or whose it is in brackets"),
            ("reach", "forwarded, taken, waiting, never or inside"),
            ("url", "where it is reached, or null"),
        ),
    ),
    Schema("review", 1, "", (_VERSION, ("project", "the project's directory"), ("changes", "a list"))),
    Schema(
        "review",
        1,
        "changes",
        (
            ("path", "the file"),
            ("run_by", "what on your computer executes it"),
            ("before", "lines that were executed"),
            ("after", "lines that are executed now"),
        ),
    ),
    Schema("list", 1, "", (_VERSION, ("instances", "a list"))),
    Schema(
        "list",
        1,
        "instances",
        (
            ("name", "the VM's name"),
            ("status", "as in status"),
            ("role", "base, golden or project"),
            ("project", "the project's directory"),
            ("project_exists", "true or false"),
            ("generation", "as in status"),
            ("older_than_base", "true or false"),
            ("created", "Unix time in seconds"),
            ("sessions", "how many"),
        ),
    ),
    Schema("doctor", 1, "", (_VERSION, ("findings", "a list"))),
    Schema(
        "doctor",
        1,
        "findings",
        (
            ("verdict", "ok, warning or error"),
            ("subject", "what it is about"),
            ("text", "what was found"),
            ("hint", "what mends it, or nothing"),
        ),
    ),
    Schema(
        "settings",
        1,
        "",
        (
            _VERSION,
            ("config", "path of config.toml"),
            ("config_exists", "true or false"),
            ("settings", "a list"),
            ("mounts", "a list"),
            ("pass_env", "a list of names, and of beginnings of names with * behind them"),
            ("config_links", "a list of directories that links in the agents' directories may lead to"),
        ),
    ),
    Schema(
        "settings",
        1,
        "settings",
        (
            ("name", "as in config.toml"),
            ("variable", "in the environment"),
            ("value", "text, number (sizes in bytes, times in seconds), true or false; null when it is hidden"),
            ("default", "as one writes it"),
            ("source", "default, environment or file"),
            ("hidden", "true when a value is set that may hold a token"),
            ("help", "what it is for"),
        ),
    ),
    Schema("settings", 1, "mounts", (("path", "the directory"), ("writable", "true or false"))),
)
