"""gh's logins in a guest: a stand-in for gh on the host, the exports run by a real sh, and the real gh."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from agentvm.github import Login, ask_github, parse_hosts
from agentvm.model import Contribution, GitHub, Host

STAND_IN = """\
#!/bin/sh
[ "$1 $2 $3" = "auth token --hostname" ] || exit 9
echo "$4" >>"{notes}/asked"
[ -e "{notes}/slow" ] && exec sleep 60
[ -e "{notes}/$4" ] && exec cat "{notes}/$4"
echo "no oauth token" >&2
exit 1
"""
NEWEST = 'git_protocol: https\nversion: "1"\n'
VARIABLES = "GH_TOKEN GITHUB_TOKEN GH_ENTERPRISE_TOKEN GITHUB_ENTERPRISE_TOKEN GH_HOST".split()


class Gh(NamedTuple):
    """A host with gh: what its keyring holds, and its configuration."""

    host: Host
    notes: Path

    def keyring(self, **tokens: str) -> None:
        for name, token in tokens.items():
            (self.notes / name.replace("_", ".")).write_text(token)

    @property
    def directory(self) -> Path:
        return Path(self.host.home) / ".config" / "gh"

    @property
    def asked(self) -> list[str]:
        path = self.notes / "asked"
        return sorted(path.read_text().split()) if path.exists() else []

    def find(self, content: str | None, **environment: str) -> GitHub:
        if content is not None:
            (self.directory / "hosts.yml").write_text(content)
        host = self.host._replace(environment=self.host.environment | environment)
        return ask_github(host, str(self.directory)).finish()


@pytest.fixture
def gh(host: Host, tmp_path: Path) -> Gh:
    notes, programs = tmp_path / "notes", tmp_path / "programs"
    notes.mkdir()
    programs.mkdir()
    (programs / "gh").write_text(STAND_IN.format(notes=notes))
    (programs / "gh").chmod(0o755)
    for name in "cat", "sleep":
        (programs / name).symlink_to(shutil.which(name) or "")
    made = Gh(host._replace(environment={"HOME": host.home, "PATH": str(programs)}), notes)
    made.directory.mkdir(parents=True)
    (made.directory / "config.yml").write_text(NEWEST)
    return made


def exported(found: GitHub) -> dict[str, str]:
    """What a shell's children see of GitHub's variables."""
    script = "\n".join((found.contribution.functions, *found.contribution.lines, "/usr/bin/env"))
    done = subprocess.run(["/bin/sh", "-c", script], env={}, capture_output=True, check=True, text=True)
    pairs = dict(line.split("=", 1) for line in done.stdout.splitlines())
    return {name: pairs[name] for name in VARIABLES if name in pairs}


KEYRING = "github.com:\n    git_protocol: https\n    users:\n        ann:\n    user: ann\n"
CORP = "corp.example:\n    user: ann\n    git_protocol: ssh\n"
OTHER = "other.example:\n    user: ann\n"
TENANT = "octo.ghe.com:\n    user: ann\n"
OWN = "    oauth_token: gho_file\n"
TWO_USERS = """\
github.com:
    users:
        ann:
            oauth_token: gho_a
        bob:
            oauth_token: gho_b
    user: bob
"""

SITUATIONS: dict[str, tuple[str, dict[str, str], tuple[str, ...]]] = {
    "a keyring": (KEYRING, {"GH_TOKEN": "gho_ring"}, ("github.com",)),
    "the file": (KEYRING + OWN, {}, ("github.com",)),
    "the file of an old gh": ("github.com:\n    oauth_token: gho_file\n    user: ann\n", {}, ("github.com",)),
    "the active user of several": (
        TWO_USERS,
        {"GH_TOKEN": "gho_b"},
        ("github.com",),
    ),
    "quotes": ("\"github.com\":\n    oauth_token: 'gho_file'\n", {}, ("github.com",)),
    "an enterprise alone": (CORP, {"GH_ENTERPRISE_TOKEN": "ghe_corp"}, ("corp.example",)),
    "both": (
        KEYRING + CORP,
        {"GH_TOKEN": "gho_ring", "GH_ENTERPRISE_TOKEN": "ghe_corp"},
        ("github.com", "corp.example"),
    ),
    "both, one in the file": (
        KEYRING + OWN + CORP,
        {"GH_ENTERPRISE_TOKEN": "ghe_corp"},
        ("github.com", "corp.example"),
    ),
    "a tenant of ghe.com": (TENANT, {"GH_TOKEN": "gho_octo"}, ("octo.ghe.com",)),
    "nobody": ("", {}, ()),
    "logged out": ("{}\n", {}, ()),
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_gh_gets_the_tokens_that_it_would_not_find(gh: Gh, name: str) -> None:
    content, variables, hosts = SITUATIONS[name]
    gh.keyring(github_com="gho_ring\n", corp_example="ghe_corp\n", octo_ghe_com="gho_octo\n")
    found = gh.find(content)
    assert exported(found) == variables
    assert found.hosts == hosts
    assert found.contribution.notices == ()


def test_without_hosts_nobody_is_asked(gh: Gh) -> None:
    assert gh.find(None) == GitHub()
    assert gh.asked == []


def test_only_hosts_without_a_token_are_asked_for(gh: Gh) -> None:
    gh.find(KEYRING + OWN + CORP)
    assert gh.asked == ["corp.example"]


@pytest.mark.parametrize(
    ("variable", "asked"),
    [
        ("GH_TOKEN", ["corp.example"]),
        ("GITHUB_TOKEN", ["corp.example"]),
        ("GH_ENTERPRISE_TOKEN", ["github.com"]),
        ("GITHUB_ENTERPRISE_TOKEN", ["github.com"]),
    ],
)
def test_a_token_of_the_user_s_own_variables_is_enough(gh: Gh, variable: str, asked: list[str]) -> None:
    gh.keyring(github_com="gho_ring", corp_example="ghe_corp")
    found = gh.find(KEYRING + CORP, **{variable: "own"})
    assert gh.asked == asked
    assert found.hosts == ("github.com", "corp.example")
    other = "GH_TOKEN" if asked == ["github.com"] else "GH_ENTERPRISE_TOKEN"
    assert list(exported(found)) == [other]


def test_a_variable_alone_is_a_login_to_github(gh: Gh) -> None:
    found = gh.find(None, GITHUB_TOKEN="own")
    assert found == GitHub(("github.com",))


def test_hosts_are_asked_for_at_the_same_time_and_not_for_ever(gh: Gh) -> None:
    (gh.notes / "slow").touch()
    start = time.monotonic()
    found = gh.find(KEYRING + CORP)
    assert time.monotonic() - start < 8
    assert gh.asked == ["corp.example", "github.com"]
    assert found.hosts == ()
    assert [notice.count("gh did not answer in 5 seconds") for notice in found.contribution.notices] == [1, 1]


def test_a_host_without_a_token_is_named_with_what_to_do(gh: Gh) -> None:
    found = gh.find(KEYRING)
    assert exported(found) == {}
    assert found.hosts == ()
    (notice,) = found.contribution.notices
    assert "not logged in to github.com (gh says: no oauth token)" in notice
    assert "`gh auth login --hostname github.com` on the host" in notice


def test_a_host_without_gh_is_told_so(gh: Gh) -> None:
    found = gh.find(KEYRING, PATH=gh.host.home)
    (notice,) = found.contribution.notices
    assert "gh was not found" in notice
    assert "gh auth login" in notice


@pytest.mark.parametrize("answer", ["", "\n", "two words", "a\nb", "\x1b[31m", "é", "x" * 6000])
def test_what_is_no_token_is_not_exported(gh: Gh, answer: str) -> None:
    gh.keyring(github_com=answer)
    found = gh.find(KEYRING)
    assert exported(found) == {}
    (notice,) = found.contribution.notices
    assert "no token" in notice
    assert notice.isprintable()


def test_any_token_reaches_gh_as_it_is(gh: Gh) -> None:
    token = "a'b\"$HOME`id`\\$(id)%s*;#&"
    gh.keyring(github_com=token)
    assert exported(gh.find(KEYRING)) == {"GH_TOKEN": token}


# --- Several hosts for one variable ------------------------------------------------------------------------------------


def test_the_first_of_several_enterprises_gets_the_variable(gh: Gh) -> None:
    gh.keyring(corp_example="ghe_corp", other_example="ghe_other")
    found = gh.find(OTHER + CORP)
    assert exported(found) == {"GH_ENTERPRISE_TOKEN": "ghe_other"}
    # git must not be given another host's token.
    assert found.hosts == ("other.example",)
    (notice,) = found.contribution.notices
    assert "not logged in to corp.example" in notice


def test_enterprises_with_the_same_token_share_it(gh: Gh) -> None:
    gh.keyring(corp_example="ghe_corp", other_example="ghe_corp")
    found = gh.find(OTHER + CORP)
    assert found.hosts == ("other.example", "corp.example")
    assert found.contribution.notices == ()


def test_a_token_in_the_file_is_not_hidden_by_another_host_s(gh: Gh) -> None:
    gh.keyring(corp_example="ghe_corp", octo_ghe_com="gho_octo")
    found = gh.find(KEYRING + OWN + CORP + OTHER + OWN + TENANT)
    assert exported(found) == {}
    assert found.hosts == ("github.com", "other.example")
    assert len(found.contribution.notices) == 2


def test_github_comes_before_its_tenants(gh: Gh) -> None:
    gh.keyring(github_com="gho_ring", octo_ghe_com="gho_octo")
    assert exported(gh.find(TENANT + KEYRING)) == {"GH_TOKEN": "gho_ring"}


# --- hosts.yml ---------------------------------------------------------------------------------------------------------

MALFORMED = {
    "no mapping": "github.com",
    "a value": "github.com: x\n",
    "a list": "- github.com\n",
    "an unclosed bracket": "github.com: [\n",
    "a line without a colon": "github.com:\n    oauth_token\n",
    "a tab": "github.com:\n\toauth_token: x\n",
    "no host above": "    oauth_token: x\n",
    "an option as a host": "--help:\n    user: x\n",
    "an option in quotes": '"--help":\n    user: x\n',
    "an odd host": "a b:\n    user: x\n",
    "a path as a host": "../x:\n    user: x\n",
    "a token of two words": "github.com:\n    oauth_token: a b\n",
    "too many hosts": "".join(f"h{number}.example:\n    user: x\n" for number in range(9)),
    "noise": "\x00\x01\ufffd\n",
    "huge": "#" * 200_000,
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_file_gets_one_notice_that_names_it(gh: Gh, name: str) -> None:
    found = gh.find(MALFORMED[name], GH_TOKEN="own")
    assert found.hosts == ("github.com",)
    assert found.contribution.lines == ()
    (notice,) = found.contribution.notices
    assert f"{gh.directory}/hosts.yml can't be used" in notice
    assert gh.asked == []


def test_a_directory_and_a_pipe_are_no_files(gh: Gh) -> None:
    path = gh.directory / "hosts.yml"
    path.mkdir()
    assert "it is not a file" in gh.find(None).contribution.notices[0]
    path.rmdir()
    os.mkfifo(path)
    assert "it is not a file" in gh.find(None).contribution.notices[0]


def test_comments_and_unknown_keys_are_passed_over() -> None:
    text = (
        "---\n# mine\ngithub.com:\n\n    # here\n    oauth_token: gho_x\n    future: [a, b]\n    more:\n        x: y\n"
    )
    assert parse_hosts(text) == (Login("github.com", own="gho_x"),)


def test_a_host_may_have_a_port() -> None:
    assert parse_hosts("corp.example:8443:\n    user: ann\n") == (Login("corp.example:8443"),)


# --- The configuration of an older gh ----------------------------------------------------------------------------------

FUNCTIONS = 'state=$HOME/.local/state/agentvm\nsay() { printf "agentvm: %s\\n" "$1" >&2; }\n'
OLD = "github.com:\n    oauth_token: gho_old\n    user: ann\n    git_protocol: https\n"
SETTINGS = "git_protocol: ssh\naliases:\n    co: pr checkout\n    it's: '!echo \"$HOME\"'\n"


def in_guest(gh: Gh, found: GitHub, command: str) -> subprocess.CompletedProcess[str]:
    """The host's home serves as the guest's, where the shared directory is at the same place."""
    script = "\n".join((FUNCTIONS, found.contribution.functions, *found.contribution.lines, command))
    environment = {"HOME": gh.host.home, "PATH": os.environ["PATH"]}
    return subprocess.run(["/bin/sh", "-euc", script], env=environment, capture_output=True, text=True, check=True)


@pytest.mark.parametrize("settings", [None, "", SETTINGS, SETTINGS.rstrip("\n"), "# no more\n"])
def test_the_guest_has_a_configuration_of_its_own_with_the_hosts_settings(gh: Gh, settings: str | None) -> None:
    file = gh.directory / "config.yml"
    file.unlink()
    if settings is not None:
        file.write_text(settings)
    found = gh.find(OLD)
    assert found.contribution.notices == ()
    for _ in range(2):
        done = in_guest(gh, found, 'cd "$GH_CONFIG_DIR" && pwd && cat hosts.yml && cat config.yml')
        place, text = done.stdout.split("\n", 1)
        assert text == OLD + "".join(f"{line}\n" for line in (settings or "").splitlines()) + 'version: "1"\n'
        assert done.stderr == ""
    assert Path(place).stat().st_mode & 0o077 == 0
    assert [path.name for path in Path(place).parent.iterdir()] == [Path(place).name]


def test_the_newest_configuration_is_the_guests_too(gh: Gh) -> None:
    assert gh.find(OLD).contribution == Contribution()


def test_a_change_of_the_hosts_comes_with_the_next_session(gh: Gh) -> None:
    for pager in ("less", "cat"):
        (gh.directory / "config.yml").write_text(f"pager: {pager}\n")
        done = in_guest(gh, gh.find(OLD), 'cat "$GH_CONFIG_DIR/config.yml"')
        assert done.stdout == f'pager: {pager}\nversion: "1"\n'


@pytest.mark.parametrize("kind", ["huge", "pipe", "directory"])
def test_settings_that_can_not_be_read_get_one_notice(gh: Gh, kind: str) -> None:
    file = gh.directory / "config.yml"
    file.unlink()
    if kind == "huge":
        file.write_text("#" * 10_001)
    else:
        (os.mkfifo if kind == "pipe" else os.mkdir)(file)
    found = gh.find(OLD)
    (notice,) = found.contribution.notices
    assert f"{file} can't be used" in notice
    assert in_guest(gh, found, 'cat "$GH_CONFIG_DIR/config.yml"').stdout == 'version: "1"\n'


@pytest.mark.parametrize(("content", "token"), [(OLD, "gho_old"), (KEYRING, "gho_ring"), (KEYRING + OWN, "gho_file")])
def test_a_newer_gh_works_with_what_an_older_one_left_and_rewrites_nothing(gh: Gh, content: str, token: str) -> None:
    """Since 2.40 gh would; one from before shows only that the rest does no harm."""
    assert REAL, "this test needs gh"
    gh.keyring(github_com="gho_ring")
    (gh.directory / "config.yml").write_text(SETTINGS)
    found = gh.find(content)
    before = {path.name: path.read_bytes() for path in gh.directory.iterdir()}
    assert in_guest(gh, found, f"'{REAL}' auth token --hostname github.com").stdout == f"{token}\n"
    assert "co:" in in_guest(gh, found, f"'{REAL}' alias list").stdout
    assert in_guest(gh, found, f"'{REAL}' config get git_protocol").stdout == "ssh\n"
    assert {path.name: path.read_bytes() for path in gh.directory.iterdir()} == before


# --- The real gh -------------------------------------------------------------------------------------------------------

REAL = shutil.which("gh")


@pytest.mark.parametrize(
    ("content", "name", "token"),
    [
        (KEYRING, "github.com", "gho_ring"),
        (KEYRING, "gist.github.com", "gho_ring"),
        (KEYRING + CORP, "corp.example", "ghe_corp"),
        (KEYRING + OWN, "github.com", "gho_file"),
    ],
)
def test_gh_and_git_are_logged_in(gh: Gh, content: str, name: str, token: str) -> None:
    """gh on the host is the stand-in, with a keyring; gh in the guest has the shared file and what is exported."""
    assert REAL, "this test needs gh"
    gh.keyring(github_com="gho_ring", corp_example="ghe_corp")
    found = gh.find(content)
    commands = {
        f"'{REAL}' auth token --hostname {name.removeprefix('gist.')}": token,
        f"printf 'protocol=https\\nhost={name}\\n\\n' | '{REAL}' auth git-credential get": f"password={token}",
    }
    for command, expected in commands.items():
        script = "\n".join((*found.contribution.lines, command))
        done = subprocess.run(
            ["/bin/sh", "-c", script], env={"HOME": gh.host.home}, capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines()[-1] == expected
