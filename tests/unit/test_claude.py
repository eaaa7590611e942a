"""What a guest's claude gets of the host's ~/.claude.json, and how it gets into the guest's own under real shells."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from agentvm.claude import LARGEST_FILE, LARGEST_SEED, Seed, claude_contribution, plan_claude, seed_claude
from agentvm.model import Contribution, Host

PLACES = ("/up/p", "/up/p/sub", "/main")
TRUST = {"hasTrustDialogAccepted": True}
ONBOARDED = '{"hasCompletedOnboarding":true}'
HOSTILE = [
    "it's",
    '"; touch x; "',
    "$(touch x)",
    "`touch x`",
    "\\n\\",
    "%s%d",
    "é\n日本\x00\x1b[2J",
    "\ud800",
    "-n",
    "'\\''",
]


def seed(known: object, places: tuple[str, ...] = PLACES) -> dict[str, Any]:
    made = seed_claude(json.dumps(known).encode(), places=places, credential=False)
    assert made.notices == ()
    assert made.text is not None
    loaded = json.loads(made.text)
    assert isinstance(loaded, dict)
    return loaded


# --- What is kept ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kept",
    [
        {"hasCompletedOnboarding": True, "theme": "light", "lastOnboardingVersion": "2.1.0"},
        {"editorMode": "vim", "verbose": True, "autoCompactEnabled": False, "preferredNotifChannel": "iterm2"},
        {"diffTool": "terminal", "messageIdleNotifThresholdMs": 5, "copyOnSelect": False},
        {"oauthAccount": {"accountUuid": "1", "emailAddress": "a@example.org"}},
        {"customApiKeyResponses": {"approved": ["x" * 20], "rejected": []}},
        {"bypassPermissionsModeAccepted": True},
        {"mcpServers": {"a": {"command": "x", "env": {"TOKEN": "secret"}}}},
        {"migrationVersion": 15, "opusProMigrationComplete": True},
        {"projects": {"/up/p": TRUST | {"allowedTools": ["Bash(ls)"], "mcpServers": {"b": {"command": "y"}}}}},
        {"projects": {"/up/p/sub": {"enabledMcpjsonServers": ["a"], "disabledMcpjsonServers": ["b"]}}},
        {"projects": {"/main": {"hasClaudeMdExternalIncludesWarningShown": True, "mcpContextUris": ["u"]}}},
        {"projects": {"/up": TRUST, "/": TRUST}},
    ],
)
def test_answers_preferences_and_this_project_are_kept(kept: dict[str, Any]) -> None:
    assert seed(kept) == kept


@pytest.mark.parametrize(
    "known",
    [
        {"installMethod": "native", "autoUpdates": True, "userID": "u", "machineID": "m", "numStartups": 7},
        {"cachedGrowthBookFeatures": {"a": 1}, "tipsHistory": {"t": 1}, "unheardOf": True},
        {"autoConnectIde": True, "claudeInChromeDefaultEnabled": True, "remoteControlAtStartup": True},
        {"projects": {"/other": TRUST, "/up/p/other": TRUST, "/up/px": TRUST, "/up/p/sub/deeper": TRUST}},
        {"projects": {"/up/p": {"history": ["secret"], "lastCost": 1, "lastSessionId": "s", "exampleFiles": ["f"]}}},
        {"projects": {"/up": {"allowedTools": ["Bash"], "mcpServers": {"x": {}}}}},
        {"projects": {"/up/p": {"hasTrustDialogAccepted": False, "allowedTools": [], "mcpServers": {}}}},
    ],
)
def test_everything_else_stays_on_the_host(known: dict[str, Any]) -> None:
    assert seed(known) == {}


@pytest.mark.parametrize("wrong", [None, 1, "x", [], {}, [1], True, 1.5])
def test_parts_of_a_wrong_type_are_left_out(wrong: object) -> None:
    good = {"theme": "dark", "projects": {"/up/p": TRUST}}
    for key in ("oauthAccount", "mcpServers", "env", "customApiKeyResponses"):
        assert seed(good | {key: wrong}) == good
    assert seed({"projects": wrong}) == {}
    assert seed({"projects": {"/up/p": wrong, "/up": wrong}}) == {}
    if wrong is not True:
        assert seed({"hasCompletedOnboarding": wrong, "projects": {"/up/p": {"hasTrustDialogAccepted": wrong}}}) == {}
    if not isinstance(wrong, str):
        assert seed({"theme": wrong}) == {}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not JSON"),
        (b'{"theme":', "not JSON"),
        (b"\xff\xfe{", "not JSON"),
        (b'{"messageIdleNotifThresholdMs":NaN}', "not JSON"),
        (b"[" * 200_000, "not JSON"),
        (b"1" * 5000, "not JSON"),
        (b"[]", "object"),
        (b"null", "object"),
        (b" " * (LARGEST_FILE + 1), "larger"),
    ],
)
def test_a_bad_file_is_told_once_and_counts_as_missing(content: bytes, reason: str) -> None:
    for credential in (True, False):
        made = seed_claude(content, places=PLACES, credential=credential)
        assert made.text == (ONBOARDED if credential else None)
        (notice,) = made.notices
        assert "~/.claude.json" in notice
        assert reason in notice


def test_a_missing_file_means_onboarded_only_with_a_credential() -> None:
    assert seed_claude(None, places=PLACES, credential=True) == Seed(ONBOARDED)
    assert seed_claude(None, places=PLACES, credential=False) == Seed(None)


def test_a_credential_answers_nothing_that_the_file_leaves_open() -> None:
    assert seed_claude(b'{"theme":"dark"}', places=PLACES, credential=True).text == '{"theme":"dark"}'


def test_what_is_too_large_is_left_out_and_named() -> None:
    known = {"theme": "dark", "mcpServers": {"a": {"command": "x" * LARGEST_SEED}}, "projects": {"/up/p": TRUST}}
    made = seed_claude(json.dumps(known).encode(), places=PLACES, credential=False)
    assert json.loads(made.text or "") == {"theme": "dark", "projects": {"/up/p": TRUST}}
    (notice,) = made.notices
    assert "~/.claude.json" in notice
    assert "mcpServers" in notice


def test_no_seed_is_larger_than_what_travels() -> None:
    known = dict.fromkeys(("theme", "editorMode", "diffTool"), "x" * LARGEST_SEED)
    made = seed_claude(json.dumps(known).encode(), places=PLACES, credential=False)
    assert made.text == "{}"
    assert len(made.notices) == 1


def test_the_text_does_not_depend_on_the_order() -> None:
    one = {"theme": "dark", "projects": {"/up/p": TRUST, "/main": TRUST}, "verbose": True}
    other = {"verbose": True, "projects": {"/main": TRUST, "/up/p": TRUST}, "theme": "dark"}
    texts = {seed_claude(json.dumps(known).encode(), places=PLACES, credential=False).text for known in (one, other)}
    assert len(texts) == 1


def test_a_decomposed_path_finds_what_claude_wrote_composed() -> None:
    known = {"projects": {"/caf\u00e9": TRUST}}
    assert seed(known, ("/cafe\u0301",)) == known


# --- The guest's side --------------------------------------------------------------------------------------------------

SHELLS = [words for words in (["dash"], ["bash", "--posix"], ["busybox", "sh"]) if shutil.which(words[0])]
ORDINARY = "/usr/local/bin:/usr/bin:/bin"


class Guest:
    """A guest's home, and a real shell that runs what a session sends."""

    def __init__(self, home: Path, shell: list[str]) -> None:
        self.home = home
        self.shell = shell
        self.config = home / ".claude.json"
        self.path = ORDINARY

    def script(self, text: str | None) -> str:
        made = claude_contribution(Seed(text))
        return "\n".join((_HEAD, made.functions, *made.lines, 'echo "status $?"'))

    def start(self, text: str | None) -> subprocess.Popen[str]:
        command = shutil.which(self.shell[0])
        assert command, f"{self.shell[0]} is needed"
        environment = {"HOME": str(self.home), "PATH": self.path, "SCRIPT": self.script(text)}
        return subprocess.Popen(
            [command, *self.shell[1:], "-c", 'eval "$SCRIPT"'],
            cwd=self.home,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def seed(self, known: object) -> str:
        """Run it; what the user was told."""
        text = known if isinstance(known, str) else None if known is None else json.dumps(known, sort_keys=True)
        out, _ = self.start(text).communicate(timeout=60)
        said, _, status = out.rpartition("status ")
        assert status == "0\n", out
        return said

    def write(self, known: object) -> None:
        self.config.write_text(json.dumps(known))

    def read(self) -> object:
        return json.loads(self.config.read_text())

    def without(self, *programs: str) -> None:
        """A PATH that has what is needed but not these."""
        tools = self.home / "tools"
        tools.mkdir()
        for name in {"cat", "cp", "mv", "rm", "mkdir", "cmp", "jq", "flock", "sed"} - set(programs):
            (tools / name).symlink_to(str(shutil.which(name)))
        self.path = str(tools)

    def left(self) -> set[str]:
        return {str(path.relative_to(self.home)) for path in self.home.rglob("*") if path.is_file()}


_HEAD = """\
state=$HOME/.local/state/agentvm
say() { printf 'agentvm: %s\\n' "$1" >&2; }
die() { say "$1"; exit 1; }"""
_KEPT = ".local/state/agentvm/seeded/"
WRITTEN = {".claude.json", f"{_KEPT}claude.json", f"{_KEPT}claude.json.sum", f"{_KEPT}lock"}


@pytest.fixture(params=SHELLS, ids=lambda shell: str(shell[0]))
def guest(home: Path, request: pytest.FixtureRequest) -> Guest:
    return Guest(home, request.param)


def test_a_new_guest_gets_the_seed_for_its_user_alone(guest: Guest) -> None:
    assert guest.seed({"theme": "dark"}) == ""
    assert guest.read() == {"theme": "dark"}
    assert guest.left() == WRITTEN
    for path in guest.left():
        assert stat.S_IMODE((guest.home / path).stat().st_mode) == 0o600, path


def test_no_seed_makes_nothing(guest: Guest) -> None:
    assert guest.seed(None) == ""
    assert guest.left() == set()
    guest.write({"theme": "own"})
    assert guest.seed(None) == ""
    assert guest.left() == {".claude.json"}


@pytest.mark.parametrize(
    ("first", "changed", "second", "after"),
    [
        # The guest's own is kept, the seed's wins where both speak.
        ({}, {"own": 1, "theme": "own"}, {"theme": "dark"}, {"own": 1, "theme": "dark"}),
        ({"a": {"x": 1}}, {"a": {"x": 1, "y": 2}}, {"a": {"x": 3}}, {"a": {"x": 3, "y": 2}}),
        # What the host no longer says goes, unless it was changed here.
        ({"theme": "dark", "verbose": True}, {"theme": "dark", "verbose": True}, {"theme": "dark"}, {"theme": "dark"}),
        ({"theme": "dark"}, {"theme": "own"}, {"verbose": True}, {"theme": "own", "verbose": True}),
        (
            {"projects": {"/p": TRUST}},
            {"projects": {"/p": TRUST | {"lastCost": 1}, "/q": TRUST}},
            {"theme": "dark"},
            {"projects": {"/p": {"lastCost": 1}, "/q": TRUST}, "theme": "dark"},
        ),
        ({"projects": {"/p": TRUST}}, {"projects": {"/p": TRUST}}, {"theme": "dark"}, {"theme": "dark"}),
        (
            {"mcpServers": {"a": {"command": "x"}, "b": {"command": "y"}}},
            {"mcpServers": {"a": {"command": "x"}, "b": {"command": "y"}, "own": {"command": "z"}}},
            {"mcpServers": {"b": {"command": "y"}}},
            {"mcpServers": {"b": {"command": "y"}, "own": {"command": "z"}}},
        ),
        # Types that do not fit, and values that jq takes for nothing.
        ({"a": {"x": 1}}, {"a": 5}, {"a": {"x": 2}}, {"a": {"x": 2}}),
        ({"a": 5}, {"a": {"x": 1}}, {"b": 1}, {"a": {"x": 1}, "b": 1}),
        ({"a": {"x": 1}}, {"a": {"x": 1, "y": 1}}, {"a": 5}, {"a": 5}),
        ({"a": False, "b": None}, {"a": False, "b": None, "c": False}, {"d": 1}, {"c": False, "d": 1}),
        ({"a": [1, 2]}, {"a": [1, 2, 3]}, {"a": [2]}, {"a": [2]}),
        # The end of the seed takes it all back, but not that onboarding was done.
        ({"theme": "dark", "hasCompletedOnboarding": True}, None, None, {"hasCompletedOnboarding": True}),
    ],
)
def test_a_new_seed_is_merged(guest: Guest, first: object, changed: object, second: object, after: object) -> None:
    guest.seed(first)
    guest.write({**first, "own": 1} if changed is None and isinstance(first, dict) else changed)
    assert guest.seed(second) == ""
    expected = {**after, "own": 1} if changed is None and isinstance(after, dict) else after
    assert guest.read() == expected
    assert stat.S_IMODE(guest.config.stat().st_mode) == 0o600


def test_an_unchanged_seed_starts_no_process_and_touches_nothing(guest: Guest) -> None:
    guest.seed({"theme": "dark"})
    guest.write({"theme": "own", "later": 1})
    before = guest.config.stat()
    guest.path = "/nowhere"
    assert guest.seed({"theme": "dark"}) == ""
    assert guest.config.stat() == before


def test_a_removed_file_comes_back(guest: Guest) -> None:
    guest.seed({"theme": "dark"})
    guest.config.unlink()
    assert guest.seed({"theme": "dark"}) == ""
    assert guest.read() == {"theme": "dark"}


@pytest.mark.parametrize("broken", ["", "{", "[]", '{"a":1}{"b":2}', "null"])
def test_a_file_that_is_no_json_is_moved_aside(guest: Guest, broken: str) -> None:
    guest.config.write_text(broken)
    said = guest.seed({"theme": "dark"})
    assert said.count("\n") == 1
    assert ".claude.json.broken" in said
    assert guest.read() == {"theme": "dark"}
    assert (guest.home / ".claude.json.broken").read_text() == broken


def test_a_link_in_the_guest_is_left_alone(guest: Guest) -> None:
    target = guest.home / "elsewhere"
    target.write_text("{}")
    guest.config.symlink_to(target)
    assert guest.seed({"theme": "dark"}) == ""
    assert guest.config.is_symlink()
    assert target.read_text() == "{}"
    guest.config.unlink()
    guest.config.symlink_to(guest.home / "nothing")
    assert guest.seed({"theme": "dark"}) == ""
    assert guest.config.is_symlink()
    assert guest.left() == {"elsewhere"}


def test_a_directory_in_its_place_is_left_alone(guest: Guest) -> None:
    guest.config.mkdir()
    assert guest.seed({"theme": "dark"}) == ""
    assert guest.left() == set()


def test_without_jq_only_an_untouched_seed_is_replaced(guest: Guest) -> None:
    guest.without("jq", "flock")
    assert guest.seed({"theme": "dark"}) == ""
    assert guest.seed({"theme": "light"}) == ""
    assert guest.read() == {"theme": "light"}
    guest.write({"theme": "own"})
    said = guest.seed({"theme": "dark"})
    assert said.count("\n") == 1
    assert "jq" in said
    assert guest.read() == {"theme": "own"}
    assert {name for name in guest.left() if "tools" not in name} <= WRITTEN


def test_a_home_that_cannot_be_written_is_told_once(guest: Guest) -> None:
    (guest.home / ".local").write_text("in the way")
    said = guest.seed({"theme": "dark"})
    assert said.rstrip("\n").splitlines()[-1].startswith("agentvm: ~/.claude.json")
    assert said.count("agentvm: ") == 1
    assert guest.left() == {".local"}


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_arrives_as_it_is(guest: Guest, text: str) -> None:
    known = {"theme": text, "mcpServers": {text: {"command": text}}, "projects": {"/up/p": {"allowedTools": [text]}}}
    made = seed_claude(json.dumps(known).encode(), places=PLACES, credential=False).text
    assert made is not None
    assert guest.seed(made) == ""
    assert guest.config.read_text() == made + "\n"
    guest.write({"own": text})
    assert guest.seed(made.replace('"mcpServers"', '"others"')) == ""
    merged = guest.read()
    assert isinstance(merged, dict)
    assert merged["own"] == text.replace("\ud800", "\ufffd")
    assert merged["theme"] == text.replace("\ud800", "?")
    assert not (guest.home / "x").exists()


def test_the_seed_is_on_no_command_line(guest: Guest) -> None:
    """What replaces the programs writes down how it was called."""
    guest.seed({"theme": "a-secret"})
    guest.write({"own": 1})
    tools, log = guest.home / "tools", guest.home / "calls"
    tools.mkdir()
    for name in ("cat", "cp", "mv", "rm", "mkdir", "cmp", "jq", "flock"):
        tool = tools / name
        tool.write_text(f'#!/bin/sh\nprintf "%s\\n" "$0 $*" >>{log}\nexec {shutil.which(name)} "$@"\n')
        tool.chmod(0o755)
    guest.path = f"{tools}:{ORDINARY}"
    guest.seed({"theme": "another-secret"})
    assert guest.read() == {"theme": "another-secret", "own": 1}
    calls = log.read_text()
    assert "jq" in calls
    assert "secret" not in calls


def test_many_sessions_at_once_do_not_tear_it(guest: Guest) -> None:
    guest.write({"own": 1})
    texts = [json.dumps({"theme": f"t{number}", "padding": "x" * 20_000}) for number in range(3)]
    for process in [guest.start(texts[number % 3]) for number in range(12)]:
        out, _ = process.communicate(timeout=60)
        assert out == "status 0\n"
    final = guest.read()
    assert isinstance(final, dict)
    assert final["own"] == 1
    assert final["theme"] in ("t0", "t1", "t2")
    assert guest.left() == WRITTEN
    assert json.loads((guest.home / _KEPT / "claude.json").read_text())["theme"] == final["theme"]
    assert os.listdir(guest.home / _KEPT)


# --- What the host has besides the file --------------------------------------------------------------------------------


@pytest.fixture
def logged_in(home: Path) -> Path:
    path = home / ".claude/.credentials.json"
    path.parent.mkdir()
    path.write_text("{}")
    return path


def plan(host: Host, *arguments: str, **environment: str) -> Contribution:
    return plan_claude(host._replace(environment=environment), PLACES, arguments)


def test_a_login_alone_needs_no_onboarding(host: Host, logged_in: Path) -> None:
    assert "hasCompletedOnboarding" in plan(host).lines[0]
    logged_in.unlink()
    assert "hasCompletedOnboarding" not in plan(host).lines[0]
    assert "hasCompletedOnboarding" in plan(host, CLAUDE_CODE_OAUTH_TOKEN="t").lines[0]


@pytest.mark.parametrize(
    ("answered", "told"), [({}, True), ({"approved": ["34567890123456789012"]}, False), ({"rejected": ["x"]}, True)]
)
def test_a_key_beside_a_login_is_said_until_the_user_answered(
    host: Host, home: Path, logged_in: Path, answered: dict[str, list[str]], told: bool
) -> None:
    (home / ".claude.json").write_text(json.dumps({"customApiKeyResponses": answered}))
    notices = plan(host, ANTHROPIC_API_KEY="sk-ant-1234567890123456789012").notices
    assert any("ANTHROPIC_API_KEY is set" in notice for notice in notices) is told
    assert not any("1234567890" in notice for notice in notices)
    assert plan(host).notices == ()
    logged_in.unlink()
    assert plan(host, ANTHROPIC_API_KEY="sk").notices == ()


def test_a_link_that_a_guest_made_is_not_followed(host: Host, home: Path) -> None:
    """Where CLAUDE_CONFIG_DIR names another directory, the file lies in it, and guests can write there."""
    place = home / "claude"
    place.mkdir()
    secret = home / "secret.json"
    secret.write_text('{"mcpServers":{"x":{"env":{"TOKEN":"secret"}}}}')
    (place / ".claude.json").symlink_to(secret)
    made = plan(host, CLAUDE_CONFIG_DIR=str(place))
    assert not any("secret" in line for line in made.lines)
    assert any("a link, which a VM could have made" in notice for notice in made.notices)
    (home / ".claude.json").symlink_to(secret)
    assert any("secret" in line for line in plan(host).lines), "in the home itself only the user makes links"


def test_a_mac_says_once_where_the_login_is(host: Host, home: Path) -> None:
    """In the guest, where it can be seen whether that has a login of its own."""
    mac = host._replace(platform="darwin")
    script = "\n".join((_HEAD, *plan(mac).lines[1:]))
    environment = {"CLAUDE_SECURESTORAGE_CONFIG_DIR": str(home), "HOME": str(home), "PATH": ORDINARY}

    def run() -> str:
        done = subprocess.run(["/bin/sh", "-c", script], env=environment, capture_output=True, check=False)
        return done.stderr.decode()

    assert run().count("agentvm login claude") == 1
    (home / ".credentials.json").touch()
    assert run() == ""
    assert plan(mac, "auth", "login").lines == plan(host).lines
    assert plan(mac, CLAUDE_CODE_OAUTH_TOKEN="t").lines == plan(host, CLAUDE_CODE_OAUTH_TOKEN="t").lines
