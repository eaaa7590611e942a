"""The documentation says what the program does: generated parts are fresh, and settings are those that it takes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from agentvm.errors import UsageError
from agentvm.model import Host
from agentvm.settings import SETTINGS, config_path, read_settings
from tests.docs.named import ROOT
from tests.docs.pages import PAGES, read_page
from tests.docs.reference import PAGE, read_modules, render, render_modules

_FRESH = "run: PYTHONPATH=src python -m tests.docs.reference"
_OTHERS = {
    "AGENTVM_GUEST_HOME",
    "AGENTVM_GUEST_USER",
    "AGENTVM_LAB_DIR",
    "AGENTVM_LAB_LIMA_VERSION",
    "AGENTVM_RENEW_SCREENS",
    "AGENTVM_RUN_INTEGRATION_SMOKE",
    "AGENTVM_SMOKE_PREFIX",
}
"""Variables of scripts in a guest, and of the tests."""
_MADE = re.compile(r"(^|/)\.|^(build|dist)/")
"""What is not of the tree: tools, caches, and what build.py makes."""
_NAMES = {setting.variable for setting in SETTINGS}
each_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())


def test_the_reference_is_what_the_tables_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), _FRESH


def test_the_map_of_modules_is_what_they_say_of_themselves() -> None:
    assert read_modules() == render_modules(), _FRESH
    assert "|  |" not in render_modules(), "a module says nothing of itself"


def test_no_page_is_overlooked() -> None:
    found = {path for path in ROOT.rglob("*.md") if not _MADE.search(path.relative_to(ROOT).as_posix())}
    assert found == set(PAGES)


@each_page
def test_variables_are_settings(path: Path) -> None:
    named = set(re.findall(r"AGENTVM_[A-Z_]*[A-Z]", path.read_text(encoding="utf-8")))
    assert named - _NAMES <= _OTHERS


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host({}, str(tmp_path), str(tmp_path), "linux", 1000, False, False, False)


@each_page
def test_values_of_variables_are_accepted(path: Path, host: Host) -> None:
    page = read_page(path)
    code = "\n".join((*page.code, *(block.text for block in page.blocks)))
    for name, value in re.findall(r"\b(AGENTVM_[A-Z_]+)=([^\s'\"`]+)", code):
        if name in _NAMES:
            read_settings(host._replace(environment={name: value}))


@each_page
def test_examples_of_the_config_file_are_accepted(path: Path, host: Host) -> None:
    page = read_page(path)
    for text in (*(block.text for block in page.blocks if block.language == "toml"), *lines_of_toml(page.code)):
        assert accepts(host, text), text


def lines_of_toml(code: list[str]) -> list[str]:
    """Settings within sentences. One of a directory stands in a table of its own."""
    lines = [text for text in code if re.fullmatch(r"[a-z_]+ = .+", text)]
    return [f'[[mounts]]\npath = "~/data"\n{text}' if text.startswith("mode ") else text for text in lines]


def accepts(host: Host, text: str) -> bool:
    """Whether the program reads it as its config.toml, and anything in it counts."""
    path = Path(config_path(host))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    settings = read_settings(host)
    counted = {name for name, source in settings.sources.items() if source == str(path)}
    counted |= {name for name in ("mounts", "pass_env", "config_links") if getattr(settings, name)}
    return counted == set(tomllib.loads(text))


@pytest.mark.parametrize("text", ["cpu = 8", 'mounts = "x"', 'config = "shard"'])
def test_what_the_config_file_can_not_say_is_found(host: Host, text: str) -> None:
    with pytest.raises(UsageError):
        accepts(host, text)
