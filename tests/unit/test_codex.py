from __future__ import annotations

from pathlib import Path

import pytest

from agentvm.codex import Codex, read_codex
from agentvm.model import Host
from agentvm.settings import read_settings

PROVIDER = '[model_providers.acme]\nenv_key = "ACME_API_KEY"\n'


@pytest.fixture
def directory(home: Path) -> Path:
    path = home / ".codex"
    path.mkdir()
    return path


def read(host: Host, *arguments: str, **environment: str) -> Codex:
    changed = host._replace(environment=environment)
    return read_codex(changed, read_settings(changed), arguments)


def test_nothing_is_configured(host: Host) -> None:
    assert read(host) == Codex()


def test_the_keys_of_providers(host: Host, directory: Path) -> None:
    (directory / "config.toml").write_text(PROVIDER)
    assert read(host).variables == ("ACME_API_KEY",)


@pytest.mark.parametrize(("store", "keyring"), [("keyring", True), ("auto", True), ("file", False)])
def test_a_login_in_the_keyring_is_said_until_there_is_a_file(
    host: Host, directory: Path, store: str, keyring: bool
) -> None:
    (directory / "config.toml").write_text(f'cli_auth_credentials_store = "{store}"\n')
    assert read(host).keyring is keyring
    assert any("codex's login is in your keyring" in notice for notice in read(host).notices) is keyring
    assert read(host, "login", "--device-auth").notices == ()
    (directory / "auth.json").write_text("{}")
    assert read(host) == Codex(keyring=keyring)


def test_a_link_is_not_followed_since_a_guest_may_have_made_it(host: Host, home: Path, directory: Path) -> None:
    (home / "other.toml").write_text(PROVIDER)
    (directory / "config.toml").symlink_to(home / "other.toml")
    assert read(host) == Codex()


def test_a_key_in_the_environment_alone_is_no_login(host: Host, directory: Path) -> None:
    (notice,) = read(host, OPENAI_API_KEY="sk-secret").notices
    assert "printenv OPENAI_API_KEY | agentvm login codex --with-api-key" in notice
    assert "sk-secret" not in notice
    (directory / "auth.json").write_text("{}")
    assert read(host, OPENAI_API_KEY="sk-secret").notices == ()


@pytest.mark.parametrize("content", [b"= 1", b"\xff", b"x" * 1_000_001, b"a = " + b"[" * 5000])
def test_a_file_that_can_not_be_read_is_one_notice_that_names_it(host: Host, directory: Path, content: bytes) -> None:
    (directory / "config.toml").write_bytes(content)
    (notice,) = read(host).notices
    assert notice.startswith(f"{directory}/config.toml can't be read: ")


@pytest.mark.parametrize("mode", ["shared", "overlay"])
def test_a_link_into_a_directory_that_the_user_named_counts_where_it_is_copied(
    host: Host, home: Path, directory: Path, mode: str
) -> None:
    (home / "dotfiles").mkdir()
    (home / "dotfiles/config.toml").write_text(PROVIDER)
    (directory / "config.toml").symlink_to(home / "dotfiles/config.toml")
    config = home / ".config/agentvm/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('config_links = ["~/dotfiles"]\n')
    assert read(host, AGENTVM_CONFIG=mode).variables == (("ACME_API_KEY",) if mode == "overlay" else ())
    config.write_text("")
    assert read(host, AGENTVM_CONFIG=mode).variables == ()


def test_with_copies_only_the_guest_knows_whether_it_is_logged_in(host: Host) -> None:
    assert read(host, AGENTVM_CONFIG="overlay", OPENAI_API_KEY="sk").notices == ()
    assert read(host, OPENAI_API_KEY="sk").notices
