"""The reference page and the manual, made from the tables that the program itself reads, and the map of modules.

`python -m tests.docs.reference` (with `src` on the path) writes them; tests compare.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from agentvm.commands.entry import CommandEntry
from agentvm.commands.layout import Page, Rows
from agentvm.commands.manual import manual
from agentvm.commands.pages import command_blocks, sentence
from agentvm.commands.schemas import SCHEMAS
from agentvm.commands.table import GLOBAL_OPTIONS, GROUPS
from agentvm.commands.topics import EXIT_STATUSES, FILES
from agentvm.settings import SETTINGS
from tests.unit.test_ownership import LAYERS, PACKAGE

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "reference.md"
MANUAL = DOCS / "agentvm.1"
CONTRIBUTING = DOCS.parent / "CONTRIBUTING.md"
_MAP = re.compile(r"(?<=-->\n)(?:\|.*\n)*(?=<!-- end -->)")

_HEAD = """\
# Reference

Made from the tables in `commands/table.py`, `commands/topics.py`, `commands/schemas.py` and `settings.py`, as are `--help`
and the [manual](agentvm.1); a test keeps it so.
"""

_OPTIONS = """\
What follows an agent's name is the agent's: `agentvm codex --help` is Codex's help, and `agentvm help codex` agentvm's.
"""

_STATUSES = """\
For a program in a VM its own, and 128 + n when signal n ended it; 255 may also mean that the connection was lost. Of
agentvm itself:
"""

_STREAMS = """\
Standard output has what was asked for and nothing else, standard error the conversation.
"""

_SETTINGS = """\
The environment comes first, then `~/.config/agentvm/config.toml` (or below `XDG_CONFIG_HOME`), where the names are in lower
case and without `AGENTVM_`. There is no file in the project, since the guest could write it. Toggles are `1 0 true false
yes no on off`; sizes are like `8GiB`. `agentvm settings` shows what holds, and where it is from.
"""

_LISTS = """\
Three lists are in the file alone. `pass_env` names variables of the host that every program in a VM gets besides those that
agentvm passes by itself; a `*` at the end stands for the rest of a name. Each `[[mounts]]` is a directory of the host that
every VM has under its own name, read-only unless `mode` is `"rw"`. A directory that holds your home, your ssh keys, the
system or what agentvm keeps for itself is refused, and so is a link. `config_links` names directories that links in the
agents' directories may lead to when these are copied; [sharing](sharing.md) tells why.

```toml
pass_env = ["NPM_TOKEN", "AWS_*"]
config_links = ["~/dotfiles"]

[[mounts]]
path = "~/data"

[[mounts]]
path = "/srv/models"
mode = "rw"
```
"""

_JSON = """\
`--json` prints one object. Keys may be added; when one changes or goes, `schema` grows. What is not known is `null`.
"""


def render() -> str:
    """The whole page."""
    options = _table("option", ((f"`{option.term}`", option.help) for option in GLOBAL_OPTIONS))
    parts = [_HEAD, "## Commands\n", _OPTIONS, "### Options before the command\n", options]
    for title, commands in GROUPS:
        parts += [f"### {title}\n", *(block for command in commands for block in _command(command))]
    rows = "".join(f"| `{s.variable}` | {f'`{s.default}`' if s.default else ''} | {s.help} |\n" for s in SETTINGS)
    parts += ["## Settings\n", _SETTINGS, f"| variable | default | meaning |\n|---|---|---|\n{rows}", _LISTS]
    parts += ["## Exit statuses\n", _STATUSES, _table("status", EXIT_STATUSES), _STREAMS]
    parts += ["## Files\n", _table("path", ((f"`{path}`", text) for path, text in FILES)), "## JSON\n", _JSON]
    for schema in SCHEMAS:
        title = f"### `agentvm {schema.command} --json`" + (f", each of `{schema.path}`" if schema.path else "")
        parts += [
            f"{title}\n",
            _table(f"key (schema {schema.version})", ((f"`{key}`", text) for key, text in schema.keys)),
        ]
    return "\n".join(parts)


def _command(command: CommandEntry) -> Iterator[str]:
    yield f"#### `agentvm {command.usage}`\n"
    yield from _blocks((sentence(command.summary), *command_blocks(command)))


def _blocks(page: Page) -> Iterator[str]:
    for block in page:
        if isinstance(block, str):
            yield f"{block}\n"
        elif block.code:
            yield _examples(block)
        else:
            yield _table(block.title.lower(), ((f"`{term}`", text) for term, text in block.rows))


def _examples(block: Rows) -> str:
    width = max(len(line) for line, _ in block.rows)
    lines = "".join(f"{line:{width}}  # {text}\n" for line, text in block.rows)
    return f"```bash\n{lines}```\n"


def _table(title: str, rows: Iterator[tuple[str, str]] | tuple[tuple[str, str], ...]) -> str:
    cells = "".join(f"| {_cell(term)} | {_cell(text)} |\n" for term, text in rows)
    return f"| {title} | |\n|---|---|\n{cells}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def render_modules() -> str:
    """Every module with the first sentence of its docstring, in layers from the bottom up."""
    rows = [
        f"| {number} | `{name.replace('/*', '/')}` | {_cell(_purpose(name))} |\n"
        for number, layer in enumerate(LAYERS, 1)
        for name in layer
    ]
    return "".join(("| layer | module | |\n|---|---|---|\n", *rows))


def _purpose(name: str) -> str:
    path = PACKAGE / (f"{name[:-2]}/__init__.py" if name.endswith("/*") else f"{name}.py")
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(re.split(r"(?<=\.)\s+(?=[A-Z])|\n\n", text)[0].split())


def read_modules() -> str:
    """The map that the page for contributors has."""
    (found,) = _MAP.findall(CONTRIBUTING.read_text(encoding="utf-8"))
    return str(found)


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
    MANUAL.write_text(manual(), encoding="utf-8")
    page = CONTRIBUTING.read_text(encoding="utf-8")
    CONTRIBUTING.write_text(
        page.replace(f"{read_modules()}<!-- end -->", f"{render_modules()}<!-- end -->"), encoding="utf-8"
    )
