"""The manual is what the tables say, and man's programs read it without a complaint."""

from __future__ import annotations

import re
import shutil
import subprocess

from agentvm.commands.manual import manual
from agentvm.commands.table import COMMANDS
from agentvm.settings import SETTINGS
from tests.docs.reference import MANUAL


def test_the_manual_is_what_the_tables_say() -> None:
    assert MANUAL.read_text(encoding="utf-8") == manual(), "run: PYTHONPATH=src python -m tests.docs.reference"


def test_it_is_read_without_a_complaint() -> None:
    checked = subprocess.run(["mandoc", "-T", "lint", MANUAL], check=False, capture_output=True, text=True)
    assert checked.stdout + checked.stderr == ""
    if groff := shutil.which("groff"):
        formatted = [groff, "-man", "-ww", "-T", "utf8", str(MANUAL)]
        assert subprocess.run(formatted, check=True, capture_output=True, text=True).stderr == ""


def test_everything_is_in_it() -> None:
    formatted = ["mandoc", "-T", "utf8", "-O", "width=1000", str(MANUAL)]
    shown = subprocess.run(formatted, check=True, capture_output=True, text=True).stdout
    # Bold is a letter that is written twice.
    text = " ".join(re.sub(".\b", "", shown).split())
    for command in COMMANDS.values():
        assert command.usage.replace("…", "...") in text
        assert command.summary[1:] in text
    assert all(setting.variable in text for setting in SETTINGS)
