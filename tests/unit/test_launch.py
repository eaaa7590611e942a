"""What AGENTVM_YOLO=1 and a login in a keyring make of an agent's arguments."""

from __future__ import annotations

import tomllib

import pytest

from agentvm.agents import CLAUDE, CODEX, GH, OPENCODE, Agent
from agentvm.launch import Launch, find_places, plan_launch
from agentvm.project import Project

SKIP = "--dangerously-skip-permissions"
ANSWER = '{"skipDangerousModePermissionPrompt":true}'
READ = f"--settings {ANSWER}"
BYPASS = "--dangerously-bypass-approvals-and-sandbox"
TRUST = 'projects={"/p"={trust_level="trusted"}}'
ALLOW = ("OPENCODE_PERMISSION", '{"*":"allow"}')
SANDBOXED = ("CLAUDE_CODE_SANDBOXED", "1")
KEYRING = ("-c", "cli_auth_credentials_store=file")


def plan(agent: Agent, arguments: str, places: tuple[str, ...] = ("/p",)) -> Launch:
    return plan_launch(agent, tuple(arguments.split()), yolo=True, places=places)


@pytest.mark.parametrize("arguments", ["", "-p hello", f"x {SKIP}", "serve", "-a never", "--permission-mode plan"])
@pytest.mark.parametrize("agent", [CLAUDE, CODEX, OPENCODE, GH])
def test_without_yolo_nothing_changes(agent: Agent, arguments: str) -> None:
    words = tuple(arguments.split())
    assert plan_launch(agent, words, yolo=False, places=("/p",)) == Launch(words)


@pytest.mark.parametrize(
    ("agent", "before", "after"),
    [
        (CLAUDE, "", f"{SKIP} {READ}"),
        (CLAUDE, "mcp list", f"{SKIP} {READ} mcp list"),
        (CLAUDE, "-p hello", f"{SKIP} {READ} -p hello"),
        (CLAUDE, f"-- {SKIP}", f"{SKIP} {READ} -- {SKIP}"),
        (CLAUDE, "-- --settings x", f"{SKIP} {READ} -- --settings x"),
        (CLAUDE, "-- --permission-mode plan", f"{SKIP} {READ} -- --permission-mode plan"),
        (CLAUDE, f"-p hello {SKIP}", f"{READ} -p hello {SKIP}"),
        (CLAUDE, "--setting-sources user", f"{SKIP} {READ} --setting-sources user"),
        (CLAUDE, "--settings x.json", f"{SKIP} --settings x.json"),
        (CLAUDE, "--settings=x.json", f"{SKIP} --settings=x.json"),
        (CODEX, "", f"{BYPASS} -c {TRUST}"),
        (CODEX, "exec hello", f"{BYPASS} -c {TRUST} exec hello"),
        (CODEX, "--help", f"{BYPASS} -c {TRUST} --help"),
        (CODEX, "-- --yolo", f"{BYPASS} -c {TRUST} -- --yolo"),
        (CODEX, "-- -a never", f"{BYPASS} -c {TRUST} -- -a never"),
        (CODEX, "exec --yolo hello", f"-c {TRUST} exec --yolo hello"),
        (CODEX, BYPASS, f"-c {TRUST} {BYPASS}"),
        (CODEX, "--search --add-dir x", f"{BYPASS} -c {TRUST} --search --add-dir x"),
        (CODEX, "-c model=approval_policy", f"{BYPASS} -c {TRUST} -c model=approval_policy"),
        (OPENCODE, "", "--auto"),
        (OPENCODE, "web-app", "--auto web-app"),
        (OPENCODE, "-m run", "--auto -m run"),
        (OPENCODE, "--model=x", "--auto --model=x"),
        (OPENCODE, "--continue", "--auto --continue"),
        (OPENCODE, "run hello", "run --auto hello"),
        (OPENCODE, "-m some/model run hello", "-m some/model run --auto hello"),
        (OPENCODE, "--print-logs run", "--print-logs run --auto"),
        (OPENCODE, "run -- --auto", "run --auto -- --auto"),
        (OPENCODE, "-- serve", "--auto -- serve"),
    ],
)
def test_what_is_added_stands_where_the_agent_takes_it(agent: Agent, before: str, after: str) -> None:
    launch = plan(agent, before)
    assert " ".join(launch.arguments) == after
    assert launch.environment == ((SANDBOXED,) if agent is CLAUDE else ())
    (notice,) = launch.notices
    assert notice.startswith("AGENTVM_YOLO=1 adds ")
    for flag in (SKIP, ANSWER, BYPASS, "--auto"):
        assert (flag in notice) == (launch.arguments.count(flag) > before.split().count(flag)), flag


@pytest.mark.parametrize(
    ("agent", "arguments", "named"),
    [
        (CLAUDE, "--permission-mode plan", "--permission-mode"),
        (CLAUDE, "--permission-mode=acceptEdits -p x", "--permission-mode"),
        (CLAUDE, "--restricted", "--restricted"),
        (CODEX, "-a never", "-a"),
        (CODEX, "-anever exec x", "-a"),
        (CODEX, "--ask-for-approval=on-request", "--ask-for-approval"),
        (CODEX, "--ask-for-approval on-request", "--ask-for-approval"),
        (CODEX, "-s read-only", "-s"),
        (CODEX, "exec -s read-only hello", "-s"),
        (CODEX, "exec --sandbox=read-only hello", "--sandbox"),
        (CODEX, "exec --approve-for-me hello", "--approve-for-me"),
        (CODEX, "-c approval_policy=on-request", "-c approval_policy"),
        (CODEX, '--config sandbox_mode="read-only" exec x', "-c sandbox_mode"),
        (CODEX, "-csandbox_mode=read-only", "-c sandbox_mode"),
        (CODEX, "--config=approval_policy=never", "-c approval_policy"),
    ],
)
def test_what_the_user_says_wins_and_is_named(agent: Agent, arguments: str, named: str) -> None:
    words = tuple(arguments.split())
    launch = plan(agent, arguments)
    assert launch.arguments[-len(words) :] == words
    assert not {SKIP, BYPASS, READ} & set(launch.arguments[: -len(words)])
    assert launch.environment == ()
    (notice,) = launch.notices
    assert notice.startswith(f"your own {named} wins over AGENTVM_YOLO=1")


@pytest.mark.parametrize("arguments", ["--auto", "run --yolo x", f"run {SKIP} x", "auth login", "upgrade"])
def test_opencode_gets_nothing_twice_or_where_it_means_nothing(arguments: str) -> None:
    assert plan(OPENCODE, arguments) == Launch(tuple(arguments.split()))


def test_gh_gets_nothing() -> None:
    assert plan(GH, "auth status") == Launch(("auth", "status"))


@pytest.mark.parametrize("arguments", ["serve", "serve --port 80", "--port 80 web", "acp"])
def test_opencode_servers_take_a_variable(arguments: str) -> None:
    launch = plan(OPENCODE, arguments)
    assert (launch.arguments, launch.environment) == (tuple(arguments.split()), (ALLOW,))
    (notice,) = launch.notices
    assert ALLOW[0] in notice


@pytest.mark.parametrize(
    "place",
    [
        "/p",
        "/a b/c",
        '/q"uote',
        "/back\\slash",
        "/new\nline",
        "/tab\there",
        "/del\x7f",
        "/é/日本",
        "/a=b",
        "/{x}",
        "/#'",
    ],
)
def test_codex_reads_the_places_as_they_are(place: str) -> None:
    launch = plan(CODEX, "", ("/other", place))
    name, _, value = launch.arguments[2].partition("=")
    trusted = {"trust_level": "trusted"}
    assert tomllib.loads(f"{name} = {value}") == {"projects": {"/other": trusted, place: trusted}}


def test_a_place_that_toml_cannot_hold_is_left_out() -> None:
    assert plan(CODEX, "", ("/p", "/\udcff")).arguments == (BYPASS, "-c", TRUST)
    assert plan(CODEX, "", ("/\udcff",)).arguments == (BYPASS,)
    assert plan(CODEX, "", ()).arguments == (BYPASS,)


@pytest.mark.parametrize("yolo", [True, False])
def test_codex_looks_for_its_login_in_a_file_where_the_host_has_a_keyring(yolo: bool) -> None:
    with_it = plan_launch(CODEX, ("exec", "x"), yolo=yolo, places=("/p",), codex_keyring=True)
    without = plan_launch(CODEX, ("exec", "x"), yolo=yolo, places=("/p",))
    assert with_it == without._replace(arguments=KEYRING + without.arguments)


def test_a_keyring_is_codex_own_affair() -> None:
    assert plan_launch(CLAUDE, ("x",), yolo=False, places=(), codex_keyring=True) == Launch(("x",))


@pytest.mark.parametrize(
    ("project", "directory", "places"),
    [
        (Project("/p"), "/p", ("/p",)),
        (Project("/p"), "/p/a/b", ("/p", "/p/a", "/p/a/b")),
        (Project("/p"), "/px", ("/p",)),
        (Project("/w", "/main/.git"), "/w/a", ("/w", "/w/a", "/main")),
        (Project("/w", "/bare.git"), "/w", ("/w",)),
    ],
)
def test_places_lead_from_the_root_to_the_directory(project: Project, directory: str, places: tuple[str, ...]) -> None:
    assert find_places(project, directory) == places
