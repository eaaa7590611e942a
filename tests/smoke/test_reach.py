"""A VM is reached by the machine's own ssh and scp, by `agentvm cp`, and by its ports, on real Lima. One VM, one boot."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.smoke.computer import Computer, Done

NAMES = ("plain", "two words", "it's $HOME `id`", "new\nline", "-n", "größe", "*", "a:b", "x" * 200)
HOSTILE_TAR = """\
#!/usr/bin/python3
import io, sys, tarfile
with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
    link = tarfile.TarInfo("tree/out")
    link.type, link.linkname = tarfile.SYMTYPE, "@TARGET@"
    archive.addfile(link)
    for name in ("tree/out/through", "tree/../../over", "@TARGET@/straight"):
        evil = tarfile.TarInfo(name)
        evil.size = 4
        archive.addfile(evil, io.BytesIO(b"evil"))
"""


class Reached:
    """A project whose VM runs, and ssh's configuration in its user's home."""

    def __init__(self, computer: Computer) -> None:
        self.computer = computer
        self.project = computer.project("reach")
        self.short = f"{computer.prefix}-reach"

    def ok(self, *words: str) -> Done:
        return self.computer.ok(self.project, *words)

    def ssh(self, *words: str, program: str = "ssh") -> Done:
        """ssh takes its user's home from the password database, so it is told which file is the user's."""
        return self.computer.host(self.project, program, "-F", str(self.computer.home / ".ssh" / "config"), *words)

    def ports(self) -> dict[int, dict[str, Any]]:
        return {entry["port"]: entry for entry in json.loads(self.ok("port", "--json").out)["ports"]}

    def wait_for_port(self, port: int, reach: str) -> dict[str, Any]:
        deadline = time.monotonic() + 90
        while (found := self.ports().get(port)) is None or found["reach"] != reach:
            assert time.monotonic() < deadline, found
            time.sleep(1)
        return found

    def serve(self, address: str, port: int) -> None:
        """A server in the guest that outlives the session that starts it."""
        self.computer.shell(
            self.project,
            "mkdir -p ~/served; echo served >~/served/page; cd ~/served; "
            f"setsid python3 -m http.server {port} --bind {address} >/dev/null 2>&1 </dev/null &",
        )


@pytest.fixture(scope="module")
def reached(computer: Computer, base: str) -> Iterator[Reached]:
    made = Reached(computer)
    try:
        made.ok("ssh-config", "--install")
        made.ok("shell", "--", "true")
        yield made
    finally:
        computer.run(made.project, "rm", "--force")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def test_ssh_and_scp_reach_it_by_its_name(reached: Reached, tmp_path: Path) -> None:
    """The file was written before the VM was made, and knows it all the same."""
    done = reached.ssh(reached.short, 'printf \'%s|\' "$(hostname)" "${SSH_AUTH_SOCK-none}" "${DISPLAY-none}"')
    instance = reached.computer.status(reached.project)["instance"]
    assert (done.status, done.out.decode()) == (0, f"lima-{instance}|none|none|"), done
    assert done.err == ""
    assert reached.ssh(instance, "exit 7").status == 7
    content = os.urandom(1_000_000)
    (tmp_path / "there").write_bytes(content)
    assert reached.ssh(str(tmp_path / "there"), f"{reached.short}:", program="scp").status == 0
    assert reached.ssh(f"{reached.short}:there", str(tmp_path / "back"), program="scp").status == 0
    assert (tmp_path / "back").read_bytes() == content


def test_a_vm_with_an_editor_in_it_is_not_stopped(reached: Reached) -> None:
    configuration = str(reached.computer.home / ".ssh" / "config")
    with subprocess.Popen(
        ["ssh", "-F", configuration, reached.short, "echo in; cat"],
        env=reached.computer.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as editor:
        assert editor.stdout
        assert editor.stdout.readline() == b"in\n"
        refused = reached.computer.run(reached.project, "stop")
        assert (refused.status, "is in use by ssh (process" in refused.err) == (1, True), refused
        editor.communicate()
    assert editor.returncode == 0


def test_files_of_any_name_go_there_and_come_back(reached: Reached, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "deep").mkdir(parents=True)
    for name in NAMES:
        (tree / name).write_bytes(os.urandom(10_000))
        (tree / "deep" / name).write_text(name)
    (tree / "large").write_bytes(os.urandom(20_000_000))
    (tree / "large").chmod(0o755)
    reached.ok("cp", "-r", str(tree), "vm:")
    script = "cd ~/tree && find . -type f -printf . | wc -c && stat -c %a large && cat deep/-n && rm -f plain && ln -s /etc/passwd plain"
    assert reached.computer.shell(reached.project, script).split() == [str(2 * len(NAMES) + 1), "755", "-n"]
    back = tmp_path / "back"
    done = reached.ok("cp", "-r", "vm:tree", str(back))
    assert "left out: 1 link" in done.err
    sent = {path.relative_to(tree): path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    del sent[Path("plain")]
    assert {path.relative_to(back): path.read_bytes() for path in back.rglob("*") if path.is_file()} == sent
    assert "nowhere is not there" in reached.computer.run(reached.project, "cp", "vm:nowhere", str(back)).err


def test_a_hostile_tar_puts_nothing_elsewhere(reached: Reached, tmp_path: Path) -> None:
    target, inbox = tmp_path / "target", tmp_path / "inbox"
    target.mkdir()
    inbox.mkdir()
    text = shlex.quote(HOSTILE_TAR.replace("@TARGET@", str(target)))
    script = f"printf %s {text} | sudo tee /usr/local/bin/tar >/dev/null && sudo chmod 755 /usr/local/bin/tar"
    reached.computer.shell(reached.project, f"mkdir -p ~/tree && {script}")
    done = reached.computer.run(reached.project, "cp", "-r", "vm:tree", str(inbox))
    reached.computer.shell(reached.project, "sudo rm /usr/local/bin/tar")
    assert (done.status, "which leads elsewhere" in done.err) == (1, True), done
    assert list(target.iterdir()) == []
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()] == [
        "inbox/tree/out/through"
    ]


def test_ports_are_told_with_where_they_are_reached(reached: Reached) -> None:
    port, taken, inside = free_port(), free_port(), free_port()
    with socket.create_server(("127.0.0.1", taken)):
        address = reached.computer.shell(reached.project, "hostname -I").split()[0]
        reached.serve("127.0.0.1", port)
        reached.serve("0.0.0.0", taken)
        reached.serve(address, inside)
        found = reached.wait_for_port(port, "forwarded")
        assert found["program"] == "python3"
        with urllib.request.urlopen(f"{found['url']}/page", timeout=30) as page:
            assert page.read() == b"served\n"
        assert reached.wait_for_port(taken, "taken")["url"] is None
        assert reached.wait_for_port(inside, "inside")["address"] == address
        assert reached.ports()[22]["reach"] == "never"


def test_a_stopped_vm_is_told_and_not_started(reached: Reached) -> None:
    instance = reached.computer.status(reached.project)["instance"]
    reached.ok("stop")
    done = reached.ssh(reached.short, "true")
    assert (done.status, f"{instance} is stopped." in done.err) == (255, True), done
    assert reached.computer.status(reached.project)["status"] == "stopped"
    reached.ok("rm")
    assert (
        reached.short
        not in Path(reached.computer.directory, "state", "agentvm", reached.computer.prefix, "ssh_config").read_text()
    )
