from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentvm.errors import UsageError
from agentvm.lima.template import (
    base_document,
    check_mount,
    edit_expression,
    effective_mounts,
    lima_point,
    wanted_mounts,
)
from agentvm.model import Mount, Resources

WORK = Mount("/w/web", "/w/web", True)


@pytest.mark.parametrize(
    "path",
    ["/w/web", "/a b", "/it's", "/ünï", "/日本", "/$HOME", "/a;b", "/-n", "/{{a}}", "/#", "/*", '/"', "/\\", "/\n"],
)
def test_paths_that_lima_carries(path: str) -> None:
    check_mount(Mount(path, path, True), "9p", "linux")


@pytest.mark.parametrize("side", ["location", "point"])
def test_a_name_that_is_not_utf_8_is_refused(side: str) -> None:
    mount = WORK._replace(location="/a\udcff") if side == "location" else WORK._replace(point="/a\udcff")
    with pytest.raises(UsageError, match="not UTF-8") as caught:
        check_mount(mount, "virtiofs", "linux")
    assert repr("/a\udcff") in caught.value.message
    assert caught.value.hint.startswith("Rename the directory")


def test_a_comma_is_refused_where_qemu_would_take_it_for_an_option() -> None:
    """`/a,path=/etc` would share /etc."""
    check_mount(Mount("/a,b", "/a,b", True), "virtiofs", "linux")
    check_mount(Mount("/a", "/a,b", True), "9p", "linux")
    with pytest.raises(UsageError, match="behind a comma for another option") as caught:
        check_mount(Mount("/a,b", "/a", True), "9p", "linux")
    assert caught.value.hint.startswith("Rename the directory")


@pytest.mark.parametrize("name", ["a\rb", "a\xa0b", "a\u2028b", "日\u3000本"])
def test_a_space_that_virtiofsd_stumbles_over_is_refused_for_it_alone(name: str) -> None:
    mount = Mount(f"/{name}", f"/{name}", True)
    check_mount(mount, "9p", "linux")
    check_mount(mount, "virtiofs", "darwin")
    with pytest.raises(UsageError, match="for the end of a name"):
        check_mount(mount, "virtiofs", "linux")
    check_mount(Mount("/a b\tc\nd", "/x", True), "virtiofs", "linux")


@pytest.mark.parametrize(
    ("location", "written"),
    [
        ("/it's ü b", "/it's ü b"),
        ('/a"b', "/a{{printf `%c` 34}}b"),
        ("/a\\nb", "/a{{printf `%c` 92}}nb"),
        ("/{{.Home}}", "/" + 2 * "{{printf `%c` 123}}" + ".Home" + 2 * "{{printf `%c` 125}}"),
        ("/a\nb", "/a{{printf `%c` 10}}b"),
        ("/a\u2028b", "/a{{printf `%c` 8232}}b"),
    ],
)
def test_what_a_location_can_not_say_as_it_is(location: str, written: str) -> None:
    (entry,) = json.loads(edit_expression((Mount(location, "/x", True),), Resources(), "").removeprefix(".mounts = "))
    assert entry["location"] == written


@pytest.mark.parametrize("point", ["/w/web", "/home/x/.claude", "/a-b_c.d/0"])
def test_a_plain_place_is_its_own(point: str) -> None:
    assert lima_point(Mount("/x", point, True)) == point


@given(st.text(st.characters(exclude_categories=["Cs"])).map(lambda text: "/ " + text))
def test_any_other_place_is_aside_and_plain(point: str) -> None:
    """Lima writes it unquoted into cloud-init's YAML and into fstab."""
    assert re.fullmatch(r"/mnt/agentvm/[0-9a-f]{16}", lima_point(Mount("/x", point, True)))


def test_two_places_aside_are_two() -> None:
    assert lima_point(Mount("/x", "/a b", True)) != lima_point(Mount("/x", "/a  b", True))


def test_the_base_shares_nothing() -> None:
    document = json.loads(base_document("template:_images/ubuntu-24.04", "9p"))
    assert document["base"] == ["template:_images/ubuntu-24.04"]
    assert document["mountType"] == "9p"
    assert document["ssh"] == {"forwardAgent": False, "loadDotSSHPubKeys": False}
    assert "mounts" not in document, "lists of a template and of its base are merged: `--set` empties them"
    assert "portForwards" not in document


def test_the_path_of_a_template_stays_as_it_is() -> None:
    """Lima's YAML knows no \\u00fc."""
    assert "/dörfer/t.yaml" in base_document("/dörfer/t.yaml", "").decode()


def test_the_base_leaves_the_kind_of_mounts_to_its_template() -> None:
    assert "mountType" not in json.loads(base_document("x", ""))


def values(expression: str) -> dict[str, object]:
    """What a yq expression of assignments sets, each read as the JSON that it is."""
    pairs = (part.split(" = ", 1) for part in expression.split(" | "))
    return {name: json.loads(value) for name, value in pairs}


def test_an_edit_sets_exactly_these_mounts() -> None:
    found = values(edit_expression((WORK, Mount("/h/ü b", "/h/ü b", False)), Resources(), "9p"))
    cache = {"cache": "mmap"}
    assert found == {
        ".mounts": [
            {"location": "/w/web", "mountPoint": "/w/web", "writable": True, "9p": cache},
            {
                "location": "/h/ü b",
                "mountPoint": lima_point(Mount("", "/h/ü b", False)),
                "writable": False,
                "9p": cache,
            },
        ],
        ".mountType": "9p",
    }


def test_yq_reads_no_escapes_of_json() -> None:
    assert "ü" in edit_expression((Mount("/ü", "/x", True),), Resources(), "")


def test_an_edit_leaves_alone_what_is_not_wanted() -> None:
    assert values(edit_expression((), Resources(), "")) == {".mounts": []}
    assert values(edit_expression((), Resources(2, 2**31, 2**33), "")) == {
        ".mounts": [],
        ".cpus": 2,
        ".memory": str(2**31),
        ".disk": str(2**33),
    }


def test_the_mounts_that_lima_will_make_are_compared_with_those_wanted() -> None:
    mounts = (WORK, Mount("/real/claude", "/h/.claude", True), Mount("/h/.config/gh", "/h/.config/gh", False))
    config = {"mounts": values(edit_expression(mounts, Resources(), ""))[".mounts"]}
    assert effective_mounts(config) == wanted_mounts(mounts)
    assert effective_mounts({"mounts": [{"location": "/a/"}]}) == (("/a", "/a", False),)


@pytest.mark.parametrize("config", [{}, {"mounts": None}, {"mounts": []}])
def test_no_mounts(config: dict[str, object]) -> None:
    assert effective_mounts(config) == ()


@pytest.mark.parametrize(
    "other", [WORK._replace(writable=False), WORK._replace(location="/x"), WORK._replace(point="/x")]
)
def test_any_difference_is_seen(other: Mount) -> None:
    assert wanted_mounts((WORK,)) != wanted_mounts((other,))
