"""AGENTVM_CONFIG=overlay on real Lima: what root in a guest can do to the host's settings, by each kind of mount.

Two boots, one for each kind. A file in the project is attacked in the same ways, since an attack that changes nothing
anywhere would show nothing.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli.world import snapshot
from tests.smoke.computer import BUNDLES, DOWNLOADS, VIRTIOFSD, Computer, expected_mount_type
from tests.tables import Record

SETTINGS = '{"hooks":{},"env":{"FROM":"the host"}}\n'
CONFIG = (".claude", ".codex", ".config/opencode")
SHARED = (".claude/projects", ".claude/plans", ".claude/tasks", ".codex/sessions", ".codex/archived_sessions")


class Place(NamedTuple):
    """A user whose guests have mounts of one kind, and her project."""

    kind: str
    computer: Computer
    project: Path

    def shell(self, script: str) -> str:
        return self.computer.shell(self.project, script)

    def settled(self) -> dict[str, str]:
        """All of the agents' directories, but what is promised to be writable."""
        found: dict[str, str] = {}
        for name in CONFIG:
            entries = snapshot(self.computer.home / name).items()
            found |= {f"{name}/{path}": content for path, content in entries}
        return {path: content for path, content in found.items() if not path.startswith(SHARED)}


@pytest.fixture(scope="module", params=["virtiofs", "9p"])
def place(request: pytest.FixtureRequest, computer: Computer, base: str) -> Iterator[Place]:
    """Without a virtiofsd of her own a user's mounts are 9p."""
    user = Computer(computer.directory, computer.prefix, f"modes-{request.param}")
    user.borrow(*DOWNLOADS, *([VIRTIOFSD] if request.param == "virtiofs" else []))
    user.unset(*BUNDLES)
    user.environment["AGENTVM_CONFIG"] = "overlay"
    for path, content in {
        ".claude/settings.json": SETTINGS,
        ".claude/hooks/greet.sh": "#!/bin/sh\necho greetings\n",
        ".claude/.credentials.json": "a login",
        ".codex/config.toml": 'model = "x"\n',
        ".config/opencode/opencode.json": "{}\n",
    }.items():
        file = user.home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    (user.home / ".claude/hooks/greet.sh").chmod(0o755)
    project = user.project("modes")
    (project / "settings.json").write_text(SETTINGS)
    place = Place(request.param, user, project)
    place.shell("true")
    yield place
    user.ok(project, "rm")
    shutil.rmtree(project)


def test_the_guest_has_the_settings_and_the_host_the_sessions(place: Place) -> None:
    home = place.computer.home
    types = place.shell("findmnt -n -o FSTYPE -t 9p,virtiofs | sort -u")
    assert types == expected_mount_type(place.computer)
    assert place.shell("cat ~/.claude/settings.json") == SETTINGS.strip()
    assert place.shell(f"sh -c {home}/.claude/hooks/greet.sh") == "greetings"
    assert place.shell("ls -A ~/.claude ~/.codex ~/.config/opencode | grep -c credentials || true") == "0"
    place.shell("mkdir ~/.claude/projects/-p && echo '{}' >~/.claude/projects/-p/1.jsonl")
    assert (home / ".claude/projects/-p/1.jsonl").read_text() == "{}\n"


def test_a_change_of_the_hosts_comes_with_the_next_run_and_else_it_is_one_ssh(place: Place) -> None:
    assert spied(place, "true") == ["ssh"]
    settings = place.computer.home / ".codex/config.toml"
    settings.write_text('model = "y"\n')
    assert place.shell("cat ~/.codex/config.toml") == 'model = "y"'
    assert spied(place, "true") == ["ssh"]


@pytest.mark.attacks
def test_root_can_not_change_one_byte_of_the_hosts_settings(place: Place, record: Record) -> None:
    before = place.settled()
    words = [str(place.computer.home), str(place.project)]
    attack = f"sudo -n sh -s {shlex.join(words)} <<'ATTACK'\n{ATTACK}\nATTACK\n"
    tried = [line for line in place.shell(attack).splitlines() if line.startswith("tried ")]
    assert (place.project / "settings.json").read_text() == "pwned\n", tried
    assert (place.computer.home / ".claude/projects/proof").read_text() == "pwned\n", tried
    assert place.settled() == before
    assert (place.computer.home / ".claude/settings.json").read_text() == SETTINGS
    assert len(tried) > 20
    record(
        f"root against the host's settings in overlay mode, by {expected_mount_type(place.computer)}",
        "nothing changed",
        len(tried),
    )


def spied(place: Place, command: str) -> list[str]:
    """Which of ssh and limactl a run starts."""
    log = place.computer.directory / f"spied-{place.kind}"
    spies = place.computer.directory / f"spies-{place.kind}"
    spies.mkdir(exist_ok=True)
    log.write_text("")
    for name in ("ssh", "limactl"):
        spy = spies / name
        spy.write_text(f'#!/bin/sh\necho {name} >>{shlex.quote(str(log))}\nexec {shutil.which(name)} "$@"\n')
        spy.chmod(0o755)
    path = f"{spies}:{place.computer.environment.get('PATH', os.defpath)}"
    limactl = str(spies / "limactl")
    place.computer.ok(place.project, "shell", "--", command, PATH=path, AGENTVM_LIMACTL=limactl)
    return log.read_text().split()


# $1 is the host's home, $2 the project. Each way is tried at all that it finds, and says so.
ATTACK = r"""
exec 2>/dev/null
write() {
    echo "tried $1: $2"
    echo pwned >"$2"
    [ -f "$2" ] || return
    chmod 666 "$2" && echo pwned >"$2"
    cp /tmp/pwned "$2.new" && mv -f "$2.new" "$2"
}
everywhere() {
    echo "tried $1: all of $2"
    find "$2" -xdev \( -name 'settings.json*' -o -name config.toml -o -name opencode.json \) -type f |
        while read -r file; do write "$1" "$file"; done
    for up in .. ../.. ../../.. ../../../..; do
        for file in .claude/settings.json settings.json .codex/config.toml; do
            write "$1, upwards" "$2/$up/$file"
        done
    done
}
aim() {
    echo "tried link: $1"
    ln -s "$2" "$1/link"
    echo pwned >"$1/link"
    rm -f "$1/link"
    ln "$2" "$1/hard" && echo pwned >"$1/hard"
    rm -f "$1/hard"
    mv "$1" "$1.moved" && ln -s "${2%/*}" "$1" && echo pwned >"$1/settings.json"
    rm -f "$1"
    mv "$1.moved" "$1"
}
echo pwned >/tmp/pwned
echo pwned >/mnt/agentvm/config/claude/projects/proof
for path in "$1/.claude/settings.json" "$1/.codex/config.toml" "$1/.config/opencode/opencode.json"; do
    mkdir -p "${path%/*}"
    write 'its own path' "$path"
done
grep -E ' (9p|virtiofs) ' /proc/mounts | while read -r tag point type rest; do
    echo "tried remount: $point"
    mount -o remount,rw "$point"
    [ "$point" = "$2" ] || everywhere 'a mount' "$point"
    mkdir -p /tmp/bound
    mount --bind "$point" /tmp/bound && everywhere 'a bind mount' /tmp/bound
    umount /tmp/bound
done
{
    cat /sys/bus/virtio/drivers/9pnet_virtio/*/mount_tag | tr '\0' '\n'
    cat /sys/fs/virtiofs/*/tag
    sed -nE 's/^([^ ]+) [^ ]+ (9p|virtiofs) .*/\1/p' /proc/mounts /etc/fstab
} | grep . | sort -u >/tmp/tags
for attempt in '-t virtiofs -o rw' '-t 9p -o rw,trans=virtio,version=9p2000.L' '-t 9p -o rw,trans=virtio,version=9p2000.u' \
    "-t 9p -o rw,trans=virtio,version=9p2000.L,aname=$1/.claude" '-t 9p -o rw,trans=virtio,aname=/,access=any'; do
    while read -r tag; do
        echo "tried tag: $tag with $attempt"
        mkdir -p /tmp/tag
        mount $attempt "$tag" /tmp/tag || continue
        everywhere 'a tag' /tmp/tag
        umount -l /tmp/tag
    done </tmp/tags
done
for point in /mnt/agentvm/config/*/*; do
    aim "$point" "$1/.claude/settings.json"
    aim "$point" ../settings.json
done
for device in /dev/sd? /dev/vd? /dev/disk/by-label/*; do
    mkdir -p /tmp/disk
    mount -o rw "$device" /tmp/disk && everywhere 'a disk' /tmp/disk
    umount /tmp/disk
done
rm -f /mnt/agentvm/config/*/*/link /mnt/agentvm/config/*/*/hard
exit 0
"""
