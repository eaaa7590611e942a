"""The template that users get: its image can't be loaded everywhere, but Lima has to accept it, for every host."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentvm.lima.template import base_document
from agentvm.settings import SETTINGS
from tests.smoke.computer import Computer

TEMPLATE = next(setting.default for setting in SETTINGS if setting.name == "base_template")


@pytest.mark.parametrize(
    ("host", "mount_type", "vm_type"),
    [("linux", "9p", "qemu"), ("linux", "virtiofs", "qemu"), ("macos", "virtiofs", "vz")],
)
def test_lima_accepts_the_default_template(
    computer: Computer, tmp_path: Path, host: str, mount_type: str, vm_type: str
) -> None:
    document = json.loads(base_document(TEMPLATE, mount_type)) | {"vmType": vm_type}
    path = tmp_path / f"{host}.yaml"
    path.write_text(json.dumps(document))
    computer.lima("validate", str(path))
