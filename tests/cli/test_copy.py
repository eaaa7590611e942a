"""cp: what arrives is what was sent, and a guest can't put anything elsewhere."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from tests.cli.world import World, wait_for

NAMES = ("plain", "two words", "it's $HOME `id`", "new\nline", "-n", "größe", "*", "a:b", "ünï\\code", "x" * 200)


@pytest.fixture
def inbox(ready: World) -> Path:
    """A directory that no guest sees."""
    return ready.make_project("inbox")


@pytest.fixture
def vm(ready: World) -> str:
    """The project's VM by its name, for a command line elsewhere."""
    return ready.instance()


def fill(directory: Path) -> None:
    for number, name in enumerate(NAMES):
        (directory / name).write_bytes(os.urandom(number * 1000))
        (directory / "deep" / name / "er").mkdir(parents=True)
        (directory / "deep" / name / "er" / name).write_text(name)
    (directory / "plain").chmod(0o755)


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_a_tree_goes_there_and_comes_back(ready: World, inbox: Path) -> None:
    tree = inbox / "tree"
    tree.mkdir()
    fill(tree)
    done = ready.ok("cp", "-r", str(tree), "vm:")
    assert done.out == ""
    assert f"copied {2 * len(NAMES)} files" in done.err
    arrived = ready.guest_home() / "tree"
    assert contents(arrived) == contents(tree)
    assert arrived.joinpath("plain").stat().st_mode & 0o777 == 0o755
    ready.ok("cp", "-r", "vm:tree", str(inbox / "back"))
    assert contents(inbox / "back") == contents(tree)
    assert (inbox / "back" / "plain").stat().st_mode & 0o777 == 0o755


def test_files_of_any_name_go_there_and_come_back(ready: World, inbox: Path, vm: str) -> None:
    for name in NAMES:
        (inbox / name).write_text(f"content of {name}")
    ready.ok("cp", *(f"./{name}" for name in NAMES), f"{vm}:", directory=inbox)
    assert contents(ready.guest_home()).items() >= contents(inbox).items()
    back = ready.make_project("back")
    ready.ok("cp", *(f"{vm}:./{name}" for name in NAMES), str(back), directory=inbox)
    assert contents(back) == contents(inbox)


def test_a_target_is_a_directory_or_the_new_name(ready: World, inbox: Path, vm: str) -> None:
    home = ready.guest_home()
    (inbox / "one").write_text("1")
    (inbox / "two").write_text("2")
    (home / "there").mkdir()
    (home / "old").write_text("old")
    ready.ok("cp", "one", "two", f"{vm}:there", directory=inbox)
    ready.ok("cp", "one", f"{vm}:~/there/new", directory=inbox)
    ready.ok("cp", "one", f"{vm}:old", directory=inbox)
    (home / "there" / "two").write_text("2")
    ready.ok("cp", "one", f"{vm}:{home}/absolute", directory=inbox)
    assert contents(home)["there/one"] == contents(home)["there/new"] == contents(home)["old"] == b"1"
    assert contents(home)["absolute"] == b"1"
    ready.ok("cp", "vm:there/one", "vm:there/two", ".", directory=ready.project)
    assert (ready.project / "two").read_text() == "2"
    assert not list(home.glob(".agentvm-cp*"))


def test_another_vm_is_named_and_must_run(ready: World, inbox: Path) -> None:
    name = ready.instance()
    (inbox / "one").write_text("1")
    ready.ok("cp", "one", f"{name}:", directory=inbox)
    assert (ready.guest_home() / "one").read_text() == "1"
    ready.ok("stop", name)
    said = ready.fails(1, "cp", f"{name}:one", "back", directory=inbox)
    assert f"{name} is stopped" in said
    assert "agentvm shell" in said
    ready.ok("cp", "vm:one", str(inbox / "back"))
    assert ready.instances()[name] == "running"


def test_what_makes_no_sense_is_refused(ready: World) -> None:
    for words, said in (
        (("cp",), "`agentvm cp` needs PATH"),
        (("cp", "one"), "needs a source and a target"),
        (("cp", "one", "two"), "One side must be this computer"),
        (("cp", "vm:one", "vm:two"), "One side must be this computer"),
        (("cp", "vm:one", "one", "two"), "One side must be this computer"),
        (("cp", ":one", "two"), "names no VM"),
        (("cp", "", "vm:"), "An empty word"),
        (("cp", "vm:", "."), "the home directory has no name"),
        (("cp", "vm:..", "."), ".. has no name"),
        (("cp", "vm:a/x", "vm:b/x", "."), "the same name"),
        (("cp", "absent", "vm:"), "absent is not there"),
        (("cp", ".ssh/../../web", "vm:"), "is not there"),
        (("cp", "vm:one", "absent/"), "absent/ is no directory"),
        (("cp", "vm:one", "vm:two", "absent"), "absent is no directory"),
    ):
        assert said in ready.fails(2, *words)


def test_what_the_guest_has_not_is_told(ready: World, inbox: Path, vm: str) -> None:
    (ready.guest_home() / "tree").mkdir()
    (inbox / "one").write_text("1")
    (inbox / "tree").mkdir()
    assert "absent is not there" in ready.fails(1, "cp", "vm:absent", str(inbox))
    assert "is a directory in the VM; -r" in ready.fails(1, "cp", "vm:tree", str(inbox))
    assert "tree is a directory" in ready.fails(2, "cp", "tree", f"{vm}:", directory=inbox)
    assert "nowhere/ is not there" in ready.fails(1, "cp", "one", f"{vm}:nowhere/", directory=inbox)
    assert "nowhere is not there" in ready.fails(1, "cp", "one", f"{vm}:nowhere/x", directory=inbox)
    assert "There is no instance 'other'" in ready.fails(1, "cp", "other:x", ".", directory=inbox)
    assert contents(inbox) == {"one": b"1"}


def test_a_dry_run_copies_nothing(ready: World, inbox: Path) -> None:
    (inbox / "one").write_text("1")
    assert "would copy one to vm:" in ready.ok("--dry-run", "cp", str(inbox / "one"), "vm:").err
    assert not (ready.guest_home() / "one").exists()


def test_a_full_guest_is_told_as_its_tar_says_it(ready: World, inbox: Path, vm: str) -> None:
    ready.add_program("tar", "echo 'tar: one: No space left' >&2; head -c 100000 >/dev/null; exit 2")
    (inbox / "one").write_bytes(bytes(3_000_000))
    assert "Not all was copied: tar: one: No space left" in ready.fails(1, "cp", "one", f"{vm}:", directory=inbox)


# --- Links -------------------------------------------------------------------------------------------------------------


def test_links_of_the_guest_are_left_out_and_the_one_that_is_named_is_followed(ready: World, inbox: Path) -> None:
    home = ready.guest_home()
    (home / "tree").mkdir()
    (home / "tree" / "file").write_text("mine")
    (home / "tree" / "link").symlink_to("/etc/passwd")
    (home / "short").symlink_to("tree")
    (home / "one").symlink_to("tree/file")
    assert "left out: 1 link" in ready.ok("cp", "-r", "vm:short", str(inbox)).err
    ready.ok("cp", "vm:one", str(inbox))
    assert contents(inbox) == {"short/file": b"mine", "one": b"mine"}
    assert not any(path.is_symlink() for path in inbox.rglob("*"))


def test_links_of_the_user_arrive_as_links_and_the_named_one_is_followed(ready: World, inbox: Path, vm: str) -> None:
    (inbox / "tree").mkdir()
    (inbox / "tree" / "link").symlink_to("elsewhere")
    (inbox / "secret").write_text("mine")
    (inbox / "named").symlink_to("secret")
    ready.ok("cp", "-r", "tree", "named", f"{vm}:", directory=inbox)
    home = ready.guest_home()
    assert os.readlink(home / "tree" / "link") == "elsewhere"
    assert (home / "named").read_text() == "mine"
    assert not (home / "named").is_symlink()


def test_a_link_in_what_the_guest_can_write_is_followed_neither_way(ready: World, inbox: Path) -> None:
    (inbox / "secret").write_text("secret")
    (ready.project / "out").symlink_to(inbox)
    (ready.project / "in").symlink_to(inbox / "secret")
    (ready.guest_home() / "evil").write_text("evil")
    for words in (
        ("cp", "in", "vm:"),
        ("cp", "out/secret", "vm:"),
        ("cp", "vm:evil", "out"),
        ("cp", "vm:evil", "out/x"),
    ):
        assert "a link in a directory that a VM can write" in ready.fails(1, *words)
    assert contents(inbox) == {"secret": b"secret"}
    ready.ok("cp", "vm:evil", "in")
    assert (ready.project / "in").read_text() == "evil"
    assert contents(inbox) == {"secret": b"secret"}


def test_special_files_are_never_opened(ready: World, inbox: Path) -> None:
    (inbox / "tree").mkdir()
    os.mkfifo(inbox / "tree" / "pipe")
    assert "left out: 1 special file" in ready.ok("cp", "-r", str(inbox / "tree"), "vm:").err


# --- A hostile guest ---------------------------------------------------------------------------------------------------


def archive_of(*members: tarfile.TarInfo, content: bytes = b"evil") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for member in members:
            if member.isreg():
                member.size = len(content)
            archive.addfile(member, io.BytesIO(content) if member.isreg() else None)
    return file.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return member


def send(world: World, content: bytes, after: str = "") -> None:
    """Have the guest's tar send this."""
    (world.directory / "sent").write_bytes(content)
    world.add_program("tar", f"cat '{world.directory}/sent'\n{after}")
    (world.guest_home() / "file").write_text("honest")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../evil", "leads elsewhere"),
        ("file/../../evil", "leads elsewhere"),
        ("/tmp/evil", "leads elsewhere"),
        (".", "nobody asked for"),
        ("other", "nobody asked for"),
        ("file\033[2J", "nobody asked for"),
    ],
)
def test_a_name_that_leads_elsewhere_stops_it(ready: World, inbox: Path, name: str, said: str) -> None:
    send(ready, archive_of(entry(name)))
    done = ready.run("cp", "vm:file", str(inbox))
    assert done.status == 1
    assert said in done.err
    assert "\033" not in done.err
    assert contents(inbox) == {}


def test_nothing_is_written_through_a_link_that_came_before(ready: World, inbox: Path) -> None:
    target = ready.make_project("target")
    send(ready, archive_of(entry("file", tarfile.SYMTYPE, str(target)), entry("file/evil")))
    ready.ok("cp", "-r", "vm:file", str(inbox))
    assert contents(target) == {}
    assert contents(inbox) == {"file/evil": b"evil"}


def test_nothing_is_written_through_a_link_that_is_there(ready: World) -> None:
    """As a guest may have made it in the project while files come."""
    target = ready.make_project("target")
    (ready.project / "file").symlink_to(target)
    send(ready, archive_of(entry("file/evil")))
    done = ready.run("cp", "-r", "vm:file", ".")
    assert (done.status, "a link is not followed" in done.err) == (1, True), done
    assert contents(target) == {}


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"Z"])
def test_other_kinds_are_left_out(ready: World, inbox: Path, kind: bytes) -> None:
    send(ready, archive_of(entry("file", kind, "/etc/passwd")))
    assert "left out: 1 link" in ready.ok("cp", "vm:file", str(inbox)).err
    assert contents(inbox) == {}


def test_no_bit_but_the_plain_permissions_arrives(ready: World, inbox: Path) -> None:
    member = entry("file")
    member.mode = 0o6777
    send(ready, archive_of(member))
    ready.ok("cp", "vm:file", str(inbox))
    assert (inbox / "file").stat().st_mode & 0o7022 == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no tar at all" * 100, "not a list of files"),
        (archive_of(entry("file"))[:514], "ended in the middle"),
        (archive_of(entry("file"), content=bytes(10_000))[:5_000], "ended in the middle"),
        (archive_of(entry("file", tarfile.GNUTYPE_SPARSE)), "a file with holes"),
    ],
    ids=["noise", "short", "cut", "sparse"],
)
def test_what_is_no_whole_tar_is_told(ready: World, inbox: Path, content: bytes, said: str) -> None:
    send(ready, content)
    done = ready.run("cp", "vm:file", str(inbox))
    assert (done.status, said in done.err) == (1, True), done
    assert "Traceback" not in done.err
    assert contents(inbox) == {}


def test_a_guest_that_never_stops_is_cut_off(ready: World, inbox: Path) -> None:
    send(ready, archive_of(entry("file")), "while :; do echo more and more; done")
    done = ready.run("cp", "vm:file", str(inbox))
    assert done.status == 1
    assert "Not all was copied" in done.err


def test_a_complaint_is_shown_without_driving_the_terminal(ready: World, inbox: Path) -> None:
    send(ready, b"", "printf '\\033]0;evil\\007' >&2; head -c 1000000 /dev/zero | tr '\\0' x >&2; exit 1")
    done = ready.run("cp", "vm:file", str(inbox))
    assert done.status == 1
    assert "\033" not in done.err
    assert len(done.err) < 5000


def test_an_interrupted_copy_leaves_no_half_of_a_file(ready: World, inbox: Path) -> None:
    part = archive_of(entry("file"), content=bytes(1_000_000))[:200_000]
    send(ready, part, "echo stuck >>../stuck; sleep 1000")
    copying = ready.start("cp", "vm:file", str(inbox))
    wait_for(lambda: any(path.stat().st_size for path in inbox.iterdir()))
    copying.send_signal(2)
    assert copying.wait(20) == 130
    assert list(inbox.iterdir()) == []
