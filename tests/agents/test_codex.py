"""codex in a guest, by the host that it comes from: what it asks, whether it is logged in, and what it leaves behind."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from agentvm.agents import CODEX
from agentvm.launch import find_places, plan_launch
from agentvm.project import find_project
from tests.agents.machines import Machines

SCREENS = {
    "sign-in": "Sign in with ChatGPT",
    "trust": "Trust this folder?",
    "prompt, bypassing": "permissions: YOLO mode",
    # Its prompt stands there before it knows its own mode.
    "prompt": "← for agents",
}
LOGIN = {"auth_mode": "apikey", "OPENAI_API_KEY": "sk-fake"}
KEYRING = 'cli_auth_credentials_store = "keyring"\n'


class Situation(NamedTuple):
    """What the host has, how codex is started, and what the user sees."""

    name: str
    shows: str
    logged_in: bool = True
    login: bool = True
    """Whether auth.json is there."""
    config: str = ""
    trusted: str = ""
    """The directory that the host's configuration trusts, below the base."""
    passed: tuple[tuple[str, str], ...] = ()
    arguments: tuple[str, ...] = ()
    yolo: bool = False
    keyring: bool = False
    git: bool = True
    directory: str = "up/project"


SITUATIONS = (
    Situation("trusted", "prompt", trusted="up/project"),
    Situation("not trusted", "trust"),
    Situation("trusted, below it", "prompt", trusted="up/project", directory="up/project/a/b"),
    Situation("trusted, linked work tree", "prompt", trusted="up/project", directory="up/linked"),
    Situation("trust above a repository", "trust", trusted="up"),
    Situation("no login", "sign-in", False, False),
    Situation("key in a variable only", "sign-in", False, False, passed=(("OPENAI_API_KEY", "sk-fake"),)),
    Situation("keyring", "prompt", config=KEYRING, trusted="up/project", keyring=True),
    Situation("keyring and YOLO", "prompt, bypassing", config=KEYRING, keyring=True, yolo=True),
    Situation("keyring, no file", "sign-in", False, False, config=KEYRING, keyring=True),
    Situation("YOLO", "prompt, bypassing", yolo=True),
    Situation("YOLO below the root", "prompt, bypassing", yolo=True, directory="up/project/a/b"),
    Situation("YOLO in a linked work tree", "prompt, bypassing", yolo=True, directory="up/linked/a"),
    Situation("YOLO without a repository", "prompt, bypassing", yolo=True, git=False),
    Situation("YOLO, own flag", "prompt, bypassing", yolo=True, arguments=("--yolo",)),
    Situation("YOLO, own approval", "prompt", yolo=True, arguments=("-a", "on-request")),
    Situation("YOLO, own sandbox", "prompt", yolo=True, arguments=("--sandbox=read-only",)),
    Situation("YOLO, own review", "prompt", yolo=True, arguments=("--approve-for-me",)),
    *(
        Situation(f"YOLO in {name!r}", "prompt, bypassing", yolo=True, directory=f"up/{name}")
        for name in ("a b", "it's", 'qu"ote', "back\\slash", "é日本", "$(touch x)", "new\nline", "a=b{c}")
    ),
)


def prepare(machines: Machines, situation: Situation) -> Path:
    """The host's files and the project; the directory that codex is started in."""
    machines.share(".codex")
    config = situation.config
    if situation.trusted:
        config += f'[projects."{machines.base / situation.trusted}"]\ntrust_level = "trusted"\n'
    machines.write(machines.host / ".codex/config.toml", config)
    if situation.login:
        machines.write(machines.host / ".codex/auth.json", LOGIN)
    directory = machines.base / situation.directory
    if situation.git:
        root = machines.project
        if not situation.directory.startswith(("up/project", "up/linked")):
            root = directory
        make_repository(machines, root)
    directory.mkdir(parents=True, exist_ok=True)
    machines.hand_over()
    return directory


def make_repository(machines: Machines, root: Path) -> None:
    root.mkdir(exist_ok=True)
    machines.hand_over()
    git = ("git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@example.org")
    for words in (("init", "-q"), ("commit", "-q", "--allow-empty", "-m", "x")):
        assert machines.run(machines.host, *git, *words).returncode == 0
    assert machines.run(machines.host, *git, "worktree", "add", "-q", str(machines.base / "up/linked")).returncode == 0


def script(machines: Machines, situation: Situation, directory: Path, *words: str) -> str:
    """What agentvm sends into the guest; there, a wrapper adds `--no-daemon`."""
    project = find_project(str(directory), str(machines.host))
    launch = plan_launch(
        CODEX,
        words or situation.arguments,
        yolo=situation.yolo and not words,
        places=find_places(project, str(directory)),
        codex_keyring=situation.keyring,
    )
    launch = launch._replace(arguments=("--no-daemon", *launch.arguments))
    return machines.session(CODEX, launch, directory=directory, passed=situation.passed)


def is_logged_in(machines: Machines, asked: str) -> bool:
    status = machines.run(machines.guest, "sh", "-c", asked)
    return status.returncode == 0 and "API key configured" in status.stderr + status.stdout


@pytest.mark.parametrize("situation", SITUATIONS, ids=[situation.name for situation in SITUATIONS])
def test_codex_is_at_home(machines: Machines, situation: Situation) -> None:
    directory = prepare(machines, situation)
    with machines.terminal(machines.guest, script(machines, situation, directory)) as terminal:
        assert terminal.await_one(SCREENS) == situation.shows, terminal.screen()
    assert is_logged_in(machines, script(machines, situation, directory, "login", "status")) == situation.logged_in
    assert not list((machines.host / ".codex").rglob("*.sqlite*"))
    if situation.login:
        assert (
            machines.host / ".codex/auth.json"
        ).read_text() == '{"auth_mode": "apikey", "OPENAI_API_KEY": "sk-fake"}'


def test_what_yolo_answers_is_open_again_without_it(machines: Machines) -> None:
    yolo = Situation("", "", yolo=True)
    directory = prepare(machines, yolo)
    for situation, shown in (
        (yolo, "prompt, bypassing"),
        (yolo._replace(yolo=False), "trust"),
        (yolo._replace(yolo=False, arguments=("--yolo",)), "trust"),
    ):
        with machines.terminal(machines.guest, script(machines, situation, directory)) as terminal:
            assert terminal.await_one(SCREENS) == shown, terminal.screen()
    assert "trust" not in (machines.host / ".codex/config.toml").read_text()


def test_a_keyring_breaks_the_guest_if_nothing_is_done(machines: Machines) -> None:
    """Else the rows about it would show nothing."""
    situation = Situation("", "", config=KEYRING)
    directory = prepare(machines, situation)
    assert not is_logged_in(machines, script(machines, situation, directory, "login", "status"))


def test_no_server_stays_behind(machines: Machines) -> None:
    situation = Situation("", "", trusted="up/project")
    directory = prepare(machines, situation)
    with machines.terminal(machines.guest, script(machines, situation, directory)) as terminal:
        assert terminal.await_one(SCREENS) == "prompt"
        terminal.type("C-c")
        terminal.type("C-c")
        terminal.await_one({"end": "Pane is dead"})
        assert machines.processes() == {}
    for name in ("packages/app-server-daemon", "app-server-daemon", "app-server-control"):
        assert not (machines.host / ".codex" / name).exists()


COMMANDS = """agents exec review login logout mcp plugin app-server remote-control completion update doctor sandbox debug apply
resume queue archive delete unarchive fork cloud exec-server features""".split()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_subcommand_takes_what_is_added(machines: Machines, command: str) -> None:
    launch = plan_launch(CODEX, (command, "--help"), yolo=True, places=("/p",), codex_keyring=True)
    machines.share(".codex")
    done = machines.run(machines.guest, "codex", "--no-daemon", *launch.arguments)
    assert done.returncode == 0, done.stderr
    assert "Usage: codex" in done.stdout
