"""An update of agentvm, and a way back: VMs live through the first, and are left alone in the second."""

from __future__ import annotations

import json
from typing import Any

from agentvm.label import SCHEMA
from tests.cli.world import World, snapshot


def rewrite(world: World, name: str, **changes: Any) -> None:
    path = world.fake / name / "agentvm.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_vms_of_an_older_schema_work_and_are_written_anew_when_they_change(ready: World) -> None:
    name = ready.instance()
    ready.ok("shell", "--", "sh", "-c", "echo mine >~/kept")
    for instance in ready.instances():
        rewrite(ready, instance, schema=1)
    assert set(ready.instances()) == {"agentvm-base", "agentvm-base-g1", name}
    assert ready.ok("shell", "--", "sh", "-c", "cat ~/kept").out == "mine\n"
    assert json.loads((ready.fake / name / "agentvm.json").read_text())["schema"] == 1
    ready.ok("shell", "--", "true", AGENTVM_CPUS="1")
    assert json.loads((ready.fake / name / "agentvm.json").read_text())["schema"] == SCHEMA
    assert ready.ok("shell", "--", "sh", "-c", "cat ~/kept").out == "mine\n"


def test_a_vm_of_a_newer_agentvm_is_left_alone_with_a_sentence(ready: World) -> None:
    name = ready.instance()
    for instance in ready.instances():
        rewrite(ready, instance, schema=SCHEMA + 1, version="9.1.0")
    before = snapshot(ready.fake)
    for words in (("shell", "--", "true"), ("status",), ("rm", name, "--force"), ("stop", name), ("base", "init")):
        done = ready.run(*words)
        assert (done.status, done.out) == (1, ""), done
        assert "was made by a newer agentvm (9.1.0)" in done.err
        assert "Update agentvm" in done.err
    assert "nothing to prune" in ready.ok("prune").err
    assert snapshot(ready.fake) == before
