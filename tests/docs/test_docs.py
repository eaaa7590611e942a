"""The documentation says what the program does: generated pages are fresh, examples are commands, links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from agentvm.commands.base import COMMANDS as BASE_COMMANDS
from agentvm.commands.table import COMMANDS, find_command
from agentvm.model import Host
from agentvm.settings import SETTINGS, config_path, read_settings
from tests.docs.reference import PAGE, render

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
_VARIABLES = {setting.variable for setting in SETTINGS} | {
    "AGENTVM_RUN_INTEGRATION_SMOKE",
    "AGENTVM_RENEW_SCREENS",
    "AGENTVM_GUEST_USER",
    "AGENTVM_GUEST_HOME",
}


def _code(page: Path) -> list[str]:
    """Every line of bash examples, and every inline piece of code that starts with agentvm."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    inline = re.findall(r"`((?:AGENTVM_\w+=\S+ )*agentvm [^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return [line for block in blocks for line in block.splitlines()] + inline


def _commands(page: Path) -> list[list[str]]:
    found = []
    for line in _code(page):
        words = shlex.split(line.replace("\\|", "|"), comments=True)
        while words and "=" in words[0]:
            words.pop(0)
        if words[:1] == ["agentvm"]:
            found.append([word for word in words[1:] if not word.startswith("-")])
    return found


def test_the_reference_is_what_the_tables_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "run: PYTHONPATH=src python -m tests.docs.reference"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_name_commands_that_are_there(page: Path) -> None:
    for words in _commands(page):
        names = words[0].split("|") if words else []
        for command in (find_command(name) for name in names if name != "COMMAND"):
            if command.name == "base" and len(words) > 1:
                assert all(word in BASE_COMMANDS for word in words[1].split("|"))


def test_the_readme_has_every_command() -> None:
    named = {words[0] for words in _commands(ROOT / "README.md") if words}
    assert named >= set(COMMANDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_variables_are_settings(page: Path) -> None:
    named = set(re.findall(r"AGENTVM_[A-Z_]*[A-Z]", page.read_text(encoding="utf-8")))
    assert named - _VARIABLES <= {"AGENTVM_"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("https://"):
            assert (page.parent / target.partition("#")[0]).exists(), target


def _toml() -> list[tuple[str, str]]:
    blocks = [
        (page.name, re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)) for page in PAGES
    ]
    return [(name, block) for name, found in blocks for block in found]


@pytest.mark.parametrize(("page", "text"), _toml(), ids=lambda value: value if value.endswith(".md") else "")
def test_examples_of_the_config_file_are_accepted(page: str, text: str, tmp_path: Path) -> None:
    host = Host({}, str(tmp_path), str(tmp_path), "linux", 1000, False, False, False)
    path = Path(config_path(host))
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    settings = read_settings(host)
    changed = [name for name, source in settings.sources.items() if source == str(path)]
    assert changed or settings.mounts or settings.pass_env, page
