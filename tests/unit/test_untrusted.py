"""Whatever a guest puts where agentvm reads: an answer or a reason, soon, and nothing from behind a link of the guest's."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agentvm.lima.mounts import find_moved
from agentvm.model import Mount
from agentvm.paths import resolve
from agentvm.untrusted import Answer, parse_json, parse_toml, read_text, split_path
from tests.tables import Record

SECRET = "secret of the host's"
LARGEST = 1000
GIGABYTE = 2**30


class Shared:
    """A directory that a guest can write, beside a secret that it must not see."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.place = home / "shared"
        self.place.mkdir()
        (home / "private").mkdir()
        self.secret = home / "private/file"
        self.secret.write_text(SECRET)

    @property
    def writable(self) -> tuple[str, ...]:
        return (str(self.place),)


@pytest.fixture
def shared(home: Path) -> Shared:
    return Shared(home)


# --- Where a path leads ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "file",
        "private/file",
        "shared/../private/./file",
        "link/file",
        "link/../outside/file",
        "chain/file",
        "missing/below",
        "outside/up",
        "relative/file",
        "//private//file/",
    ],
)
def test_a_path_leads_where_the_system_says(shared: Shared, path: str) -> None:
    (shared.home / "outside").mkdir()
    (shared.home / "link").symlink_to(shared.home / "private")
    (shared.home / "chain").symlink_to("link")
    (shared.home / "relative").symlink_to("outside/../private/.")
    (shared.home / "outside/up").symlink_to("../../home")
    found = f"{shared.home}/{path}"
    assert resolve(found, shared.writable) == os.path.realpath(found)


@pytest.mark.parametrize(
    ("path", "culprit"),
    [
        ("shared/link", "shared/link"),
        ("shared/directory/file", "shared/directory"),
        ("mine", "shared/link"),
        ("mine-too/file", "shared/directory"),
        ("shared/inner/again", "shared/inner/again"),
    ],
)
def test_no_link_in_a_place_of_the_guests_is_followed(shared: Shared, path: str, culprit: str) -> None:
    (shared.place / "link").symlink_to(shared.secret)
    (shared.place / "directory").symlink_to(shared.home / "private")
    (shared.place / "inner").mkdir()
    (shared.place / "inner/again").symlink_to("../link")
    (shared.home / "mine").symlink_to("shared/link")
    (shared.home / "mine-too").symlink_to("shared/directory")
    with pytest.raises(ValueError, match=f"{shared.home}/{culprit} is a link, which a VM could have made"):
        resolve(f"{shared.home}/{path}", shared.writable)


def test_links_without_end(home: Path) -> None:
    (home / "a").symlink_to("b")
    (home / "b").symlink_to("a")
    with pytest.raises(ValueError, match="Too many levels"):
        resolve(f"{home}/a/file", ())


def test_a_mount_that_became_a_link_is_found(shared: Shared) -> None:
    there = Mount(str(shared.place), "/elsewhere", True)
    inner = shared.place / "inner"
    inner.mkdir()
    mount = Mount(str(inner), str(inner), True)
    assert find_moved((there, mount)) == ""
    inner.rmdir()
    inner.symlink_to(shared.home / "private")
    assert find_moved((there, mount)) == str(inner)


@pytest.mark.parametrize(
    ("path", "unsafe"),
    [
        ("/usr/bin:/bin", ()),
        ("HOME/shared/bin:/usr/bin", ("HOME/shared/bin",)),
        (".:/usr/bin:", (".", "")),
        ("node_modules/.bin:/usr/bin", ("node_modules/.bin",)),
        ("HOME/bin:/usr/bin", ("HOME/bin",)),
        ("/usr/bin/../../HOME/shared/bin", ("/usr/bin/../../HOME/shared/bin",)),
        ("HOME/shared-too", ()),
    ],
)
def test_a_path_without_what_guests_can_write(shared: Shared, path: str, unsafe: tuple[str, ...]) -> None:
    (shared.place / "bin").mkdir()
    (shared.home / "bin").symlink_to("shared/bin")
    given = path.replace("HOME", str(shared.home))
    kept, left = split_path(given, shared.writable)
    assert left == tuple(name.replace("HOME", str(shared.home)) for name in unsafe)
    assert kept == ":".join(name for name in given.split(":") if name not in left)


# --- What is read ------------------------------------------------------------------------------------------------------


def make_sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, GIGABYTE)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def link_to(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


WRONG: dict[str, Callable[[Path], object]] = {
    "1 GiB": make_sparse,
    "a pipe": os.mkfifo,
    "a socket": make_socket,
    "a directory": os.mkdir,
    "a link to a secret": link_to("../private/file"),
    "a link to a device": link_to("/dev/zero"),
    "a link to itself": link_to("file"),
    "a NUL": lambda path: path.write_bytes(b"a\0b"),
    "more than may be": lambda path: path.write_bytes(b"a" * (LARGEST + 1)),
}


@pytest.mark.attacks
@pytest.mark.parametrize("follow", [True, False])
@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_small_text_file_is_a_reason(shared: Shared, kind: str, follow: bool, record: Record) -> None:
    WRONG[kind](shared.place / "file")
    with pytest.raises(ValueError, match=r"link|not a file|larger|NUL|device") as raised:
        read_text(f"{shared.place}/file", LARGEST, follow=follow, writable=shared.writable)
    record(f"{kind} where a file is read", str(raised.value).replace(str(shared.home), "~"))


def test_what_is_a_small_text_file_is_read_and_what_is_missing_is_none(shared: Shared) -> None:
    (shared.place / "file").write_bytes(b"text\xff")
    read = {follow: read_text(f"{shared.place}/file", LARGEST, follow=follow) for follow in (True, False)}
    assert read == {True: "text\udcff", False: "text\udcff"}
    assert read_text(f"{shared.place}/missing", LARGEST, follow=False) is None
    assert read_text(f"{shared.place}/missing/file", LARGEST, writable=shared.writable) is None


def test_a_directory_that_may_only_be_passed_through_is(shared: Shared) -> None:
    shared.secret.parent.chmod(0o100)
    try:
        assert read_text(str(shared.secret), LARGEST) == SECRET
    finally:
        shared.secret.parent.chmod(0o700)


SWAPPER = """\
import os, sys, time
place, link, aside = sys.argv[1:]
print('ready', flush=True)
while os.getppid() == int(os.environ['PARENT']):
    os.rename(place, aside)
    os.rename(link, place)
    os.rename(place, link)
    os.rename(aside, place)
"""


@contextmanager
def swapped(place: Path, link: Path) -> Iterator[None]:
    """Another process, as a guest is one, lets them change places as fast as it can."""
    words = [sys.executable, "-I", "-S", "-c", SWAPPER, str(place), str(link), f"{place}-aside"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, env={"PARENT": str(os.getpid())}) as swapper:
        assert swapper.stdout
        assert swapper.stdout.readline() == b"ready\n"
        try:
            yield
        finally:
            swapper.kill()


@pytest.mark.attacks
@pytest.mark.parametrize("what", ["file", "directory"])
def test_nothing_is_read_through_a_link_that_was_swapped_in(shared: Shared, what: str, record: Record) -> None:
    inner = shared.place / "inner"
    inner.mkdir()
    (inner / "file").write_text("the guest's")
    place = inner / "file" if what == "file" else inner
    link = shared.place / "link"
    link.symlink_to(shared.secret if what == "file" else shared.secret.parent)
    seen: dict[str | None, int] = {}
    with swapped(place, link):
        for _ in range(20_000):
            try:
                found = read_text(f"{inner}/file", LARGEST, follow=False, writable=shared.writable)
            except ValueError:
                found = "refused"
            seen[found] = seen.get(found, 0) + 1
    assert SECRET not in seen
    assert seen.get("the guest's", 0) > 0, "it was also read"
    assert seen.get("refused", 0) > 0, "and also found to be a link"
    tried = sum(seen.values())
    record(f"a {what} and a link change places while it is read", f"never the secret; {seen['refused']} refused", tried)


# --- What is parsed ----------------------------------------------------------------------------------------------------

DOTTED = ".".join("a" * 15_000)
HOSTILE_TOML = {
    "nested arrays": "a = " + "[" * 100_000,
    "nested tables": "a = " + "{a=" * 100_000,
    "a header of many parts": f"[{DOTTED}]\n" + "".join(f"k{number} = 1\n" for number in range(2000)),
    "a key of many parts": f"{DOTTED} = 1\n",
    "an inline key of many parts": f"x = {{{DOTTED} = 1}}\n",
    "a number of many digits": "a = " + "9" * 100_000,
    "no end": 'a = """' + "x" * 100_000,
}
HOSTILE_JSON = {
    "nested arrays": "[" * 100_000,
    "nested objects": '{"a":' * 100_000,
    "a number of many digits": "9" * 100_000,
    "no end": '"' + "x" * 100_000,
}


@pytest.mark.attacks
@pytest.mark.parametrize("kind", HOSTILE_TOML)
def test_toml_that_is_made_to_take_for_ever(kind: str, record: Record) -> None:
    with soon(), pytest.raises(ValueError, match=r"\w"):
        parse_toml(HOSTILE_TOML[kind])
    record(f"TOML: {kind}", "refused")


@pytest.mark.attacks
@pytest.mark.parametrize("kind", HOSTILE_JSON)
def test_json_that_is_made_to_exhaust_the_stack(kind: str, record: Record) -> None:
    with soon(), pytest.raises(ValueError, match=r"\w"):
        parse_json(HOSTILE_JSON[kind])
    record(f"JSON: {kind}", "refused")


def test_what_people_write_is_parsed() -> None:
    projects = "".join(f'[projects."/home/me/work/project-{n}.d"]\ntrust_level = "trusted"\n' for n in range(5000))
    assert len(parse_toml(projects)) == 1
    long = 'prompt = "' + "Sentence. " * 500 + '"\n'
    assert set(parse_toml(long + "a.b.c = 1\n")) == {"prompt", "a"}
    assert parse_json('{"a": [1, 2]}') == {"a": [1, 2]}


@contextmanager
def soon() -> Iterator[None]:
    """End the tests when it takes minutes: nothing else could interrupt it."""
    import faulthandler

    faulthandler.dump_traceback_later(120, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


# --- What is said ------------------------------------------------------------------------------------------------------


def test_an_answer_without_end_is_kept_up_to_a_bound() -> None:
    answer = Answer()
    for _ in range(1000):
        answer.add(b"x" * 65536)
    assert str(answer) == "x" * 100_000


def test_an_answer_of_any_bytes_is_text() -> None:
    answer = Answer()
    answer.add(b" \xff\n")
    assert str(answer) == "\N{REPLACEMENT CHARACTER}"
