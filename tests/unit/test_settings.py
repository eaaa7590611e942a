from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentvm import settings
from agentvm.errors import UsageError
from agentvm.model import Host
from agentvm.settings import SETTINGS, Settings, config_path, read_settings


def read(host: Host, **environment: str) -> Settings:
    return read_settings(host._replace(environment=host.environment | environment))


@pytest.fixture
def config(host: Host) -> Path:
    path = Path(config_path(host))
    path.parent.mkdir(parents=True)
    return path


@pytest.mark.parametrize("text", ["1", "true", "YES", "On", " on "])
def test_on(text: str) -> None:
    assert settings.toggle(text)


@pytest.mark.parametrize("text", ["0", "false", "NO", "Off", " off\n"])
def test_off(text: str) -> None:
    assert not settings.toggle(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8", 8 * 2**30),
        ("8GiB", 8 * 2**30),
        ("8 gib", 8 * 2**30),
        ("8G", 8 * 2**30),
        ("512MiB", 512 * 2**20),
        ("512m", 512 * 2**20),
        ("64KiB", 64 * 2**10),
        ("1T", 2**40),
        ("0.5", 2**29),
        ("0", 0),
    ],
)
def test_size(text: str, value: int) -> None:
    assert settings.size(text) == value


@given(st.integers(0, 10**6))
def test_size_counts_exactly(number: int) -> None:
    assert settings.size(f"{number}MiB") == number * 2**20


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *((settings.toggle, text) for text in ("", "2", "enabled", "10", "tru e")),
        *((settings.size, text) for text in ("", "much", "8GB", "-1", "1e5", "nan", "inf", "1.2.3G", "G8", "9" * 400)),
        *((settings.count, text) for text in ("", "-1", "1.5", "two", "²", "٣", "0x2")),
        *((settings.seconds, text) for text in ("0", "-1", "soon")),
        *((settings.name_prefix, text) for text in ("", "-a", "a-", "a--b", "A", "a.b", "a_b", "ä", "a/b", "a" * 25)),
        *((settings.backend_name, text) for text in ("", "Lima", "incus")),
    ],
)
def test_senseless_values(kind: Callable[[str], object], text: str) -> None:
    with pytest.raises(ValueError, match=" "):
        kind(text)


@pytest.mark.parametrize("text", ["agentvm", "a", "1", "my-vm-2", "a" * 24])
def test_prefixes(text: str) -> None:
    assert settings.name_prefix(text) == text


def test_defaults(host: Host) -> None:
    found = read(host)
    assert set(found.sources.values()) == {"default"}
    assert set(found.sources) == {setting.name for setting in SETTINGS}
    on = [setting.name for setting in SETTINGS if setting.kind is settings.toggle and getattr(found, setting.name)]
    assert on == ["mount_gh_config", "mount_gitconfig", "mount_git_credentials"]
    assert (found.cpus, found.memory, found.disk) == (0, 0, 0)
    assert found.instance_prefix == "agentvm"


def test_environment_beats_config_beats_default(host: Host, config: Path) -> None:
    config.write_text("cpus = 3\nmemory = '2GiB'\nmount_ssh = true\n")
    found = read(host, AGENTVM_CPUS="5", AGENTVM_MEMORY="")
    assert (found.cpus, found.memory, found.mount_ssh) == (5, 2 * 2**30, True)
    assert found.sources["cpus"] == "environment"
    assert found.sources["memory"] == str(config), "an empty variable is as if it were not set"
    assert found.sources["disk"] == "default"


def test_config_follows_xdg(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "xdg" / "agentvm" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text("cpus = 7\n")
    assert read(host, XDG_CONFIG_HOME=str(tmp_path / "xdg")).cpus == 7


def test_a_bad_variable_is_named(host: Host) -> None:
    with pytest.raises(UsageError) as caught:
        read(host, AGENTVM_MOUNT_SSH="maybe")
    assert "AGENTVM_MOUNT_SSH='maybe'" in caught.value.message
    assert ".ssh" in caught.value.hint


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"cpu = 1\n", "'cpu'"),
        (b"cpus = 'many'\n", "cpus in "),
        (b"cpus = 1.5\n", "cpus in "),
        (b"cpus = [1]\n", "cpus must be"),
        (b"cpus = 2001-01-01\n", "cpus must be"),
        (b"[cpus]\n", "cpus must be"),
        (b"cpus 1\n", "can't be read"),
        (b"limactl = '\xff'\n", "can't be read"),
    ],
)
def test_a_bad_config_is_named(host: Host, config: Path, content: bytes, part: str) -> None:
    config.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read(host)
    assert str(config) in caught.value.message
    assert part in caught.value.message


def test_a_config_that_is_a_directory(host: Host, config: Path) -> None:
    config.mkdir()
    with pytest.raises(UsageError, match="can't be read"):
        read(host)


def test_settings_do_not_change(host: Host) -> None:
    found = read(host)
    with pytest.raises(AttributeError):
        found.cpus = 4
    with pytest.raises(AttributeError):
        _ = found.no_such_setting
