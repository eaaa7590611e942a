from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentvm import settings
from agentvm.errors import UsageError
from agentvm.model import Host, Mount
from agentvm.settings import SETTINGS, ExtraMount, Settings, check_extra, config_path, read_settings


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
    assert on == ["mount_gh_config", "mount_gitconfig", "mount_git_credentials", "tripwire"]
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


# The lists


def test_the_lists_are_empty_by_default(host: Host, config: Path) -> None:
    assert (read(host).mounts, read(host).pass_env) == ((), ())
    config.write_text("pass_env = []\nmounts = []\n")
    assert (read(host).mounts, read(host).pass_env) == ((), ())


def test_extra_mounts(host: Host, config: Path) -> None:
    config.write_text(
        """\
        cpus = 2
        [[mounts]]
        path = "~/data"
        [[mounts]]
        path = "//srv/a b/./x/"
        mode = "rw"
        [[mounts]]
        path = "~//deep/../other"
        mode = "ro"
        """
    )
    found = read(host, AGENTVM_MOUNTS="/nowhere")
    assert found.mounts == (
        ExtraMount(f"{host.home}/data", False),
        ExtraMount("/srv/a b/x", True),
        ExtraMount(f"{host.home}/other", False),
    )
    assert found.cpus == 2


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("mounts = '/srv'", ["mounts must be tables"]),
        ("[mounts]\npath = '/srv/x'", ["mounts must be tables"]),
        ("mounts = ['/srv/x']", ["entry 1", "must be a table"]),
        ("[[mounts]]", ["entry 1", "path=None"]),
        ("[[mounts]]\nmode = 'rw'", ["entry 1", "path=None"]),
        ("[[mounts]]\npath = 7", ["entry 1", "path=7"]),
        ("[[mounts]]\npath = ''", ["entry 1", "path=''"]),
        ("[[mounts]]\npath = 'data'", ["entry 1", "path='data'"]),
        ("[[mounts]]\npath = '../data'", ["entry 1", "path='../data'"]),
        ("[[mounts]]\npath = '~'", ["entry 1", "path='~'"]),
        ("[[mounts]]\npath = '~root/x'", ["entry 1", "path='~root/x'"]),
        ('[[mounts]]\npath = "/a\\u0000b"', ["entry 1", "path="]),
        ('[[mounts]]\npath = "/a\\nb"', ["entry 1", "path="]),
        ('[[mounts]]\npath = "/a\\u001b[31m"', ["entry 1", "path="]),
        ("[[mounts]]\npath = '/srv/x'\nmode = 'RW'", ["entry 1", "mode='RW'"]),
        ("[[mounts]]\npath = '/srv/x'\nmode = ''", ["entry 1", "mode=''"]),
        ("[[mounts]]\npath = '/srv/x'\nmode = true", ["entry 1", "mode=True"]),
        ("[[mounts]]\npath = '/srv/x'\nmode = ['rw']", ["entry 1", "mode=['rw']"]),
        ("[[mounts]]\npath = '/srv/x'\nwritable = true", ["entry 1", "'writable'"]),
        ("[[mounts]]\npath = '/srv/x'\n[[mounts]]\npath = '/srv/y'\nmode = 1", ["entry 2", "mode=1"]),
        ("[[mounts]]\npath = '/srv/x'\n[[mounts]]\npath = '/srv/./x/'", ["entry 2", "twice"]),
        ("pass_env = 'FOO'", ["pass_env must be a list"]),
        ("pass_env = {FOO = true}", ["pass_env must be a list"]),
        ("config_links = '~/dotfiles'", ["config_links must be a list"]),
        ("config_links = [1]", ["config_links: 1", "no path"]),
        ("config_links = ['dotfiles']", ["config_links: 'dotfiles'", "no path"]),
        ("config_links = ['~']", ["config_links: '~'", "no path"]),
        ('config_links = ["/a\\nb"]', ["config_links:", "no path"]),
        *(
            (f"pass_env = ['OK', {name}]", [f"pass_env: {name}", "name of a variable"])
            for name in (
                "''",
                "'*'",
                "'*_KEY'",
                "'A*B'",
                "'A**'",
                "'1A'",
                "'A-B'",
                "'A B'",
                "'A=B'",
                "'Ä'",
                "7",
                "['A']",
            )
        ),
        *(
            (f"pass_env = ['OK', '{name}']", [f"pass_env: '{name}'", "can't be passed"])
            for name in "PATH HOME LD_PRELOAD LD_* LD_LIB* DYLD_* AGENTVM_* AGENTVM_YOLO SSH_AUTH_SOCK CLAUDECODE UID state".split()
        ),
        ("pass_env = ['FOO', 'BAR', 'FOO']", ["pass_env: 'FOO'", "twice"]),
    ],
)
def test_a_bad_list_is_named(host: Host, config: Path, content: str, parts: list[str]) -> None:
    config.write_text(content)
    with pytest.raises(UsageError) as caught:
        read(host)
    for part in (str(config), *parts):
        assert part in caught.value.message
    assert caught.value.hint


def test_variables_to_pass(host: Host, config: Path) -> None:
    config.write_text("pass_env = ['NPM_TOKEN', 'AWS_*', '_x', 'npm_config_registry', 'L*']\n")
    assert read(host).pass_env == ("NPM_TOKEN", "AWS_*", "_x", "npm_config_registry", "L*")


def test_directories_that_links_may_lead_to(host: Host, config: Path) -> None:
    assert read(host).config_links == ()
    config.write_text("config_links = ['~/dotfiles', '/srv//dotfiles/', '~/a/../b']\n")
    assert read(host).config_links == (f"{host.home}/dotfiles", "/srv/dotfiles", f"{host.home}/b")


@pytest.mark.parametrize("mode", ["shared", "overlay", "isolated"])
def test_modes_of_sharing(host: Host, config: Path, mode: str) -> None:
    assert read(host).config == "shared"
    assert read(host, AGENTVM_CONFIG=mode).config == mode
    config.write_text(f"config = '{mode}'\n")
    assert read(host).config == mode


@pytest.mark.parametrize("mode", ["Shared", "ro", "1", "overlay "])
def test_what_is_no_mode(host: Host, mode: str) -> None:
    with pytest.raises(UsageError, match="there are shared, overlay and isolated"):
        read(host, AGENTVM_CONFIG=mode)


@pytest.mark.parametrize("writable", [True, False])
def test_a_good_mount(host: Host, home: Path, writable: bool) -> None:
    (home / "data").mkdir()
    path = str(home / "data")
    assert check_extra(host, ExtraMount(path, writable)) == Mount(path, path, writable)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/", "of the system"),
        ("/etc/ssl", "belongs to the system"),
        ("/usr/share", "belongs to the system"),
        ("/proc/self", "belongs to the system"),
        ("/var/tmp", "of the system"),
        ("~", "your home directory"),
        ("~/..", "your home directory is in it"),
        ("~/.ssh", "AGENTVM_MOUNT_SSH=1"),
        ("~/.ssh/keys", "AGENTVM_MOUNT_SSH=1"),
        ("~/.config", "agentvm keeps in"),
        ("~/.config/agentvm", "agentvm keeps in"),
        ("~/.local", "agentvm keeps in"),
        ("~/.local/state/agentvm/agentvm", "agentvm keeps in"),
        ("~/.local/share/agentvm", "agentvm keeps in"),
        ("~/.cache", "agentvm keeps in"),
        ("~/.lima/vm", "agentvm keeps in"),
        ("~/xdg", "agentvm keeps in"),
        ("~/xdg/agentvm/deep", "agentvm keeps in"),
        ("~/gone", "it is not there"),
        ("~/file", "it is no directory"),
        ("~/link", "a link leads to"),
        ("~/link/below", "a link leads to"),
        ("~/dangling", "it is no directory"),
        ("~/to-ssh", "a link leads to"),
    ],
)
def test_what_no_guest_may_see(host: Host, home: Path, path: str, reason: str) -> None:
    for directory in (".ssh/keys", "real/below", "xdg/agentvm/deep", ".lima/vm"):
        (home / directory).mkdir(parents=True)
    for link, target in (("link", "real"), ("dangling", "nothing"), ("to-ssh", ".ssh")):
        (home / link).symlink_to(home / target)
    (home / "file").write_text("")
    host = host._replace(environment=host.environment | {"XDG_STATE_HOME": f"{home}/xdg"})
    absolute = str(home.parent) if path == "~/.." else path.replace("~", str(home), 1)
    with pytest.raises(UsageError, match=reason) as caught:
        check_extra(host, ExtraMount(absolute, False))
    assert absolute in caught.value.message
    assert config_path(host) in caught.value.hint


def test_neighbours_of_what_is_refused(host: Host, home: Path) -> None:
    for name in (".config/nvim", ".sshx", ".local/share/fonts", ".aws"):
        (home / name).mkdir(parents=True)
        assert check_extra(host, ExtraMount(f"{home}/{name}", False)).location == f"{home}/{name}"
