from __future__ import annotations

from pathlib import Path

import pytest

from agentvm.model import Host
from agentvm.opencode import opencode_variables, share_login
from agentvm.paths import is_below
from agentvm.project import Project
from agentvm.settings import read_settings
from agentvm.sharing import Link, plan_sharing

LOGIN = ".local/share/agentvm/opencode"


@pytest.fixture
def login(home: Path) -> Path:
    path = home / ".local/share/opencode/auth.json"
    path.parent.mkdir(parents=True)
    path.write_text("one")
    (path.parent / "opencode.db").write_text("live")
    return path


def test_a_guest_sees_opencodes_login_and_nothing_beside_it(host: Host, home: Path, login: Path) -> None:
    for _ in range(2):
        assert share_login(host) == ""
    shown = home / LOGIN / "auth.json"
    assert [path.name for path in shown.parent.iterdir()] == ["auth.json"]
    assert shown.samefile(login)
    shown.write_text("refreshed in the guest")
    assert login.read_text() == "refreshed in the guest"
    sharing = plan_sharing(host, read_settings(host), Project("/w/web"))
    assert Link(str(shown), ".local/share/opencode/auth.json") in sharing.links
    assert not [mount for mount in sharing.mounts if is_below(str(login), mount.location)]


def test_a_login_that_was_replaced_on_the_host_is_shown_again(host: Host, home: Path, login: Path) -> None:
    share_login(host)
    (login.parent / "new").write_text("two")
    (login.parent / "new").rename(login)
    assert share_login(host) == ""
    assert (home / LOGIN / "auth.json").read_text() == "two"


@pytest.mark.parametrize("made", ["link", "file", "directory"])
def test_what_a_guest_put_in_the_logins_place_is_not_followed(host: Host, home: Path, login: Path, made: str) -> None:
    secret = home / "secret"
    secret.write_text("secret")
    shown = home / LOGIN / "auth.json"
    shown.parent.mkdir(parents=True)
    {"link": lambda: shown.symlink_to(secret), "file": shown.touch, "directory": shown.mkdir}[made]()
    told = share_login(host)
    assert secret.read_text() == "secret"
    assert login.read_text() == "one"
    assert ("can't be shown to the VM" in told) == (made == "directory")
    assert shown.is_dir() or shown.samefile(login)


def test_no_login_is_no_matter(host: Host, home: Path) -> None:
    assert share_login(host) == ""
    assert not (home / LOGIN).exists()


def test_a_login_on_another_file_system_is_said(host: Host, login: Path) -> None:
    told = share_login(host._replace(environment={"XDG_DATA_HOME": str(login.parents[1])}))
    assert told == ""
    login.unlink()
    login.symlink_to("/proc/version")
    assert "can't be shown to the VM" in share_login(host)


@pytest.mark.parametrize(
    ("name", "text", "names"),
    [
        ("opencode.json", '{"provider":{"x":{"options":{"apiKey":"{env:ACME_API_KEY}"}}}}', ("ACME_API_KEY",)),
        ("opencode.jsonc", "// {env:OTHER_API_KEY}", ("OTHER_API_KEY",)),
        ("opencode.json", '{"x":"{env:HOME}{env:LD_PRELOAD}{env:"}', ()),
        ("other.json", "{env:ACME_API_KEY}", ()),
    ],
)
def test_variables_that_the_configuration_names(
    host: Host, home: Path, name: str, text: str, names: tuple[str, ...]
) -> None:
    (home / ".config/opencode").mkdir(parents=True)
    (home / ".config/opencode" / name).write_text(text)
    assert opencode_variables(host, read_settings(host)) == names
