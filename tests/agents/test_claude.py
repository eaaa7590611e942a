"""claude in a guest, by the host that it comes from: what it asks, and whether it is logged in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from agentvm.agents import CLAUDE
from agentvm.claude import LARGEST_FILE, claude_contribution, seed_claude
from agentvm.launch import find_places, plan_launch
from agentvm.project import Project, find_project
from tests.agents.machines import Machines

SCREENS = {
    # Its first page, and what it says where it looks in vain for the Internet.
    "onboarding": "Choose the text style|Unable to connect to Anthropic services",
    "trust": "Is this a project you created or one you trust?",
    "bypass": "WARNING: Claude Code running in Bypass Permissions mode",
    "key": "Detected a custom API key in your environment",
    "prompt, bypassing": "bypass permissions on",
    "prompt, planning": "plan mode on",
    "prompt": "auto mode on|manual mode on",
}
TOKEN = {
    "claudeAiOauth": {
        "accessToken": "sk-ant-oat01-fake",
        "refreshToken": "sk-ant-ort01-fake",
        "expiresAt": 4102444800000,
        "scopes": ["user:inference", "user:profile"],
        "subscriptionType": "max",
    }
}
KEY = "sk-ant-api03-" + "0123456789" * 4
TRUSTED = {"hasTrustDialogAccepted": True}
ONBOARDED = {"hasCompletedOnboarding": True}
SKIP = "--dangerously-skip-permissions"


class Situation(NamedTuple):
    """What the host has, how claude is started, and what the user sees."""

    name: str
    shows: str
    logged_in: bool
    config: object = None
    """The host's ~/.claude.json, without the projects; None for none."""
    trusted: str = ""
    """The directory that the host trusts, below the base."""
    token: str = "host"
    """Where the login's file is: "host" for the shared ~/.claude, "guest" for the place of a Mac's guest."""
    passed: tuple[tuple[str, str], ...] = ()
    arguments: tuple[str, ...] = ()
    yolo: bool = False
    platform: str = "linux"
    git: bool = False
    directory: str = "up/project"
    told: int = 0
    """How many lines the user is told about the host's file."""


def responses(**said: list[str]) -> dict[str, object]:
    return ONBOARDED | {"customApiKeyResponses": {"approved": [], "rejected": [], **said}}


SITUATIONS = (
    Situation("token file", "prompt", True, ONBOARDED, "up/project"),
    Situation("token file, project not trusted", "trust", True, ONBOARDED),
    Situation("trust in a parent", "prompt", True, ONBOARDED, "up"),
    Situation("trust above a repository", "trust", True, ONBOARDED, "up", git=True),
    Situation("trust of the repository, below it", "prompt", True, ONBOARDED, "up/project", git=True, directory="up/project/a/b"),
    Situation("trust of a directory in the repository", "prompt", True, ONBOARDED, "up/project/a", git=True, directory="up/project/a/b"),
    Situation("trust of the main work tree", "prompt", True, ONBOARDED, "up/project", git=True, directory="up/linked"),
    Situation("no login", "prompt", False, ONBOARDED, "up/project", token=""),
    Situation("nothing at all", "onboarding", False, token=""),
    Situation("no config", "trust", True),
    Situation("config is empty", "onboarding", True, {}),
    Situation("key approved", "prompt", True, responses(approved=[KEY[-20:]]), "up/project", "", (("ANTHROPIC_API_KEY", KEY),)),
    # `claude auth status` counts a key that the prompt does not use.
    Situation("key rejected", "prompt", True, responses(rejected=[KEY[-20:]]), "up/project", "", (("ANTHROPIC_API_KEY", KEY),)),
    Situation("key unknown", "key", True, ONBOARDED, "up/project", "", (("ANTHROPIC_API_KEY", KEY),)),
    Situation("stale key rejected, token file", "prompt", True, responses(rejected=[KEY[-20:]]), "up/project", "host", (("ANTHROPIC_API_KEY", KEY),)),
    Situation("stale key unknown, token file", "key", True, ONBOARDED, "up/project", "host", (("ANTHROPIC_API_KEY", KEY),)),
    Situation("key and no config", "trust", True, None, "", "", (("ANTHROPIC_API_KEY", KEY),)),
    Situation("token in a variable", "prompt", True, ONBOARDED, "up/project", "", (("CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-oat01-fake"),)),
    Situation("token in a variable, no config", "trust", True, None, "", "", (("CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-oat01-fake"),)),
    Situation("Mac, a login in the guest", "prompt", True, ONBOARDED, "up/project", "guest", platform="darwin"),
    Situation("Mac, no login in the guest", "prompt", False, ONBOARDED, "up/project", "", platform="darwin"),
    Situation("Mac, old file of the host's", "prompt", False, ONBOARDED, "up/project", "host", platform="darwin"),
    Situation("huge config", "trust", True, b" " * (LARGEST_FILE + 1), told=1),
    Situation("malformed config", "trust", True, b'{"hasCompletedOnboarding":tr', told=1),
    Situation("config of wrong types", "trust", True, ONBOARDED | {"theme": 7, "oauthAccount": [], "mcpServers": "x"}),
    Situation("YOLO", "prompt, bypassing", True, ONBOARDED, yolo=True),
    Situation("YOLO in a linked work tree", "prompt, bypassing", True, ONBOARDED, yolo=True, git=True, directory="up/linked"),
    Situation("YOLO, no config", "prompt, bypassing", True, yolo=True),
    Situation("YOLO, own mode", "prompt, planning", True, ONBOARDED, "up/project", arguments=("--permission-mode", "plan"), yolo=True),
    Situation("YOLO, own mode, not trusted", "trust", True, ONBOARDED, arguments=("--permission-mode", "plan"), yolo=True),
    Situation("YOLO, own settings", "bypass", True, ONBOARDED, arguments=("--settings", "{}"), yolo=True),
    Situation("own flag", "bypass", True, ONBOARDED, "up/project", arguments=(SKIP,)),
    Situation("own flag, accepted on the host", "prompt, bypassing", True, ONBOARDED | {"bypassPermissionsModeAccepted": True}, "up/project", arguments=(SKIP,)),
    Situation("own flag and YOLO", "prompt, bypassing", True, ONBOARDED, arguments=(SKIP,), yolo=True),
)  # fmt: skip


def prepare(machines: Machines, situation: Situation) -> Path:
    """The host's files and the project; the directory that claude is started in."""
    machines.share(".claude")
    if situation.token:
        home = machines.host if situation.token == "host" else machines.guest
        place = ".claude" if situation.token == "host" else ".local/state/agentvm/claude"
        machines.write(home / place / ".credentials.json", TOKEN)
    if situation.config is not None:
        config = situation.config
        if isinstance(config, dict) and situation.trusted:
            config = config | {"projects": {str(machines.base / situation.trusted): TRUSTED}}
        machines.write(machines.host / ".claude.json", config)
    directory = machines.base / situation.directory
    if situation.git:
        as_them = ("git", "-c", "user.name=a", "-c", "user.email=a@example.org")
        assert machines.run(machines.host, "git", "init", "-q").returncode == 0
        assert machines.run(machines.host, *as_them, "commit", "-q", "--allow-empty", "-m", "x").returncode == 0
        linked = str(machines.base / "up/linked")
        assert machines.run(machines.host, "git", "worktree", "add", "-q", linked).returncode == 0
    directory.mkdir(parents=True, exist_ok=True)
    machines.hand_over()
    return directory


def read_config(machines: Machines) -> bytes | None:
    config = machines.host / ".claude.json"
    return config.read_bytes() if config.exists() else None


def script(machines: Machines, situation: Situation, directory: Path, arguments: tuple[str, ...] | None = None) -> str:
    """What agentvm sends into the guest for it."""
    project = find_project(str(directory), str(machines.host))
    places = find_places(project, str(directory))
    credential = bool(situation.token or situation.passed)
    seed = seed_claude(read_config(machines), places=places, credential=credential)
    assert len(seed.notices) == situation.told
    words = situation.arguments if arguments is None else arguments
    launch = plan_launch(CLAUDE, words, yolo=situation.yolo and arguments is None, places=places)
    return machines.session(
        CLAUDE,
        launch,
        claude_contribution(seed),
        directory=directory,
        platform=situation.platform,
        passed=situation.passed,
    )


@pytest.mark.parametrize("situation", SITUATIONS, ids=[situation.name for situation in SITUATIONS])
def test_claude_is_at_home(machines: Machines, situation: Situation) -> None:
    directory = prepare(machines, situation)
    before = read_config(machines)
    with machines.terminal(machines.guest, script(machines, situation, directory)) as terminal:
        assert terminal.await_one(SCREENS) == situation.shows, terminal.screen()
    assert read_config(machines) == before
    status = machines.run(machines.guest, "sh", "-c", script(machines, situation, directory, ("auth", "status")))
    assert json.loads(status.stdout)["loggedIn"] == situation.logged_in


def test_what_yolo_answers_is_open_again_without_it(machines: Machines) -> None:
    yolo = Situation("", "", True, ONBOARDED, yolo=True)
    directory = prepare(machines, yolo)
    for situation, shown in (
        (yolo, "prompt, bypassing"),
        (yolo._replace(yolo=False), "trust"),
        (yolo, "prompt, bypassing"),
        (yolo._replace(yolo=False, arguments=(SKIP,)), "trust"),
    ):
        with machines.terminal(machines.guest, script(machines, situation, directory)) as terminal:
            assert terminal.await_one(SCREENS) == shown, terminal.screen()
    for path in (machines.guest / ".claude.json", machines.host / ".claude.json"):
        assert 'hasTrustDialogAccepted": true' not in path.read_text()
        assert "bypassPermissionsModeAccepted" not in path.read_text()
    assert "skipDangerousModePermissionPrompt" not in "".join(
        path.read_text() for path in (machines.host / ".claude").glob("settings*.json")
    )


def test_trust_that_the_host_takes_back_is_taken_back(machines: Machines) -> None:
    situation = Situation("", "", True, ONBOARDED, "up/project")
    directory = prepare(machines, situation)
    with machines.terminal(machines.guest, script(machines, situation, directory)) as terminal:
        assert terminal.await_one(SCREENS) == "prompt"
    machines.write(machines.host / ".claude.json", ONBOARDED)
    with machines.terminal(machines.guest, script(machines, situation, directory)) as terminal:
        assert terminal.await_one(SCREENS) == "trust"


def test_what_the_guest_answers_stays_in_the_guest(machines: Machines) -> None:
    situation = Situation("", "", True, ONBOARDED)
    directory = prepare(machines, situation)
    with machines.terminal(machines.guest, script(machines, situation, directory)) as terminal:
        assert terminal.await_one(SCREENS) == "trust"
        terminal.type("Down")
        terminal.type("Enter")
        assert terminal.await_one({name: text for name, text in SCREENS.items() if name != "trust"}) == "prompt"
    assert read_config(machines) == json.dumps(ONBOARDED).encode()
    machines.write(machines.host / ".claude.json", ONBOARDED | {"editorMode": "vim"})
    with machines.terminal(machines.guest, script(machines, situation, directory)) as terminal:
        assert terminal.await_one(SCREENS | {"prompt": "INSERT"}) == "prompt"


def test_a_config_behind_a_link_is_read_and_left(machines: Machines) -> None:
    situation = Situation("", "", True, ONBOARDED, "up/project")
    directory = prepare(machines, situation)
    config = machines.host / ".claude.json"
    config.rename(machines.host / "dotfiles.json")
    config.symlink_to("dotfiles.json")
    with machines.terminal(machines.guest, script(machines, situation, directory)) as terminal:
        assert terminal.await_one(SCREENS) == "prompt"
    assert config.is_symlink()
    assert not (machines.guest / ".claude.json").is_symlink()


@pytest.mark.parametrize("name", ["a b", "it's", 'qu"ote', "back\\slash", "é日本", "$(touch x)", "new\nline", "a=b{c}"])
def test_hostile_names_of_projects_are_trusted(machines: Machines, name: str) -> None:
    situation = Situation("", "", True, ONBOARDED, f"up/{name}", directory=f"up/{name}")
    directory = prepare(machines, situation)
    assert find_project(str(directory), str(machines.host)) == Project(str(directory))
    with machines.terminal(machines.guest, script(machines, situation, directory)) as terminal:
        assert terminal.await_one(SCREENS) == "prompt"


@pytest.mark.parametrize(
    "words", ["mcp list", "plugin list", "auth status", "doctor", "agents --help", "update --help"]
)
def test_yolo_stands_before_every_subcommand(machines: Machines, words: str) -> None:
    plain = Situation("", "", True, ONBOARDED, arguments=tuple(words.split()))
    directory = prepare(machines, plain)
    without, added = (
        machines.run(machines.guest, "sh", "-c", script(machines, plain._replace(yolo=yolo), directory))
        for yolo in (False, True)
    )
    assert (added.returncode, added.stderr) == (without.returncode, without.stderr) == (0, "")
