"""The reference page, made from the tables that the program itself reads.

`python -m tests.docs.reference` (with `src` on the path) writes it; a test compares.
"""

from __future__ import annotations

from pathlib import Path

from agentvm.commands.schemas import SCHEMAS
from agentvm.commands.table import GROUPS
from agentvm.settings import SETTINGS

PAGE = Path(__file__).parents[2] / "docs" / "reference.md"

_HEAD = """\
# Reference

Made from the tables in `commands/table.py` and `settings.py`; a test keeps it so.
"""

_OPTIONS = """\
Before the command: `--dry-run`, `--quiet`, `--verbose`, `--version`, `--help`. What follows an agent's name is the
agent's: `agentvm codex --help` is Codex's help.

Exit statuses: for a program in a VM its own, and 128 + n when signal n ended it. Of agentvm: 0; 1 an expected failure, as
a sentence with a next step; 2 the command line or a setting is wrong, and nothing was changed; 3 a bug, with a traceback
in a log whose path is shown; 130 interrupted. Standard output has what was asked for, standard error the conversation.

TIME is a whole number and its unit: `90m`, `2h`, `30d`, `1w`.
"""

_JSON = """\
`--json` prints one object. Times are Unix time in seconds, sizes are bytes. `schema` is the number of the form below: keys
may be added to it; when one changes its meaning or goes away, it counts up.
"""

_SETTINGS = """\
The environment comes first, then `~/.config/agentvm/config.toml` (or below `XDG_CONFIG_HOME`), where the names are in lower
case and without `AGENTVM_`. There is no file in the project, since the guest could write it. Toggles are `1 0 true false
yes no on off`; sizes are like `8GiB`.
"""

_LISTS = """\
Two lists are in the file alone. `pass_env` names variables of the host that every program in a VM gets besides those that
agentvm passes by itself; a `*` at the end stands for the rest of a name. Each `[[mounts]]` is a directory of the host that
every VM has under its own name, read-only unless `mode` is `"rw"`. A directory that holds your home, your ssh keys, the
system or what agentvm keeps for itself is refused, and so is a link.

```toml
pass_env = ["NPM_TOKEN", "AWS_*"]

[[mounts]]
path = "~/data"

[[mounts]]
path = "/srv/models"
mode = "rw"
```
"""


def render() -> str:
    """The whole page."""
    parts = [_HEAD, "## Commands\n", _OPTIONS]
    for title, commands in GROUPS:
        rows = "".join(f"| `agentvm {_cell(command.usage)}` | {command.summary} |\n" for command in commands)
        parts.append(f"### {title}\n\n| command | |\n|---|---|\n{rows}")
    parts += ["## JSON\n", _JSON]
    for schema in SCHEMAS:
        rows = "".join(f"| `{key.name}` | {key.kind} | {key.meaning} |\n" for key in schema.fields)
        title = f"`agentvm {schema.command} --json`" + (f": each of `{schema.path}`" if schema.path else "")
        parts.append(f"{title}\n\n| key | kind | |\n|---|---|---|\n{rows}")
    rows = "".join(f"| `{s.variable}` | {f'`{s.default}`' if s.default else ''} | {s.help} |\n" for s in SETTINGS)
    parts += ["## Settings\n", _SETTINGS, f"| variable | default | meaning |\n|---|---|---|\n{rows}", _LISTS]
    return "\n".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
