"""What a session leaves for the host to run: reported at its end, reviewed, put back or accepted."""

from __future__ import annotations

import json
import os
import pty
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from tests.cli.world import World, program

HOOK = ".git/hooks/post-checkout"
EVIL = f"printf '#!/bin/sh\\nevil\\n' >{HOOK}; chmod +x {HOOK}; git config core.fsmonitor evil"
DURING, SINCE = "While this session ran", "Since the last session"


@pytest.fixture
def repository(world: World) -> World:
    """The project is a repository, of which a session took note."""
    subprocess.run(["git", "init", "--quiet", str(world.project)], check=True)
    write_hook(world.project, "#!/bin/sh\necho mine\n")
    (world.home / ".claude").mkdir()
    (world.home / ".claude" / "settings.json").write_text('{"model": "opus"}')
    first = world.ok("shell", "--", "true")
    assert DURING not in first.err
    assert SINCE not in first.err
    return world


def write_hook(project: Path, text: str, name: str = "pre-commit") -> Path:
    path = project / ".git/hooks" / name
    path.write_text(text)
    path.chmod(0o755)
    return path


def sh(world: World, script: str, tripwire: str = "1") -> str:
    """What agentvm says of a session that runs a script."""
    return world.ok("shell", "--", "sh", "-c", script, AGENTVM_TRIPWIRE=tripwire).err


def reviewed(world: World) -> list[str]:
    """The paths that `agentvm review` has, below the project."""
    done = world.run("review", "--json")
    changes = json.loads(done.out)["changes"]
    assert done.status == (1 if changes else 0)
    return [os.path.relpath(change["path"], world.project) for change in changes]


def test_a_hook_and_a_setting_are_reported_and_put_back(repository: World) -> None:
    before = (repository.project / ".git/config").read_bytes()
    said = sh(repository, EVIL)
    assert DURING in said
    assert ".git/config: changed; run by git, at any command\n    + core.fsmonitor = evil\n" in said
    assert f"{HOOK}: new; run by git, on what it is named for\n    + #!/bin/sh\n    + evil\n" in said
    done = repository.run("review")
    assert done.status == 1
    assert "+ core.fsmonitor = evil" in done.out
    said = repository.ok("review", "--restore").err
    assert f"put back {HOOK}" in said
    assert (repository.project / ".git/config").read_bytes() == before
    assert not (repository.project / HOOK).exists()
    assert repository.ok("review").out == ""
    kept = [path for path in repository.state.rglob("replaced/*") if "fsmonitor" in path.read_text()]
    assert len(kept) == 1, "what was there instead is kept"
    assert str(kept[0]) in said


def test_a_report_comes_with_quiet_and_changes_no_status(repository: World) -> None:
    done = repository.run("--quiet", "shell", "--", "sh", "-c", f"{EVIL}; exit 7")
    assert done.status == 7
    assert DURING in done.err


def test_what_was_reported_is_not_reported_again_but_remembered(repository: World) -> None:
    sh(repository, EVIL)
    said = sh(repository, "true")
    assert DURING not in said
    assert "changes of what this computer runs, not accepted yet: 2;" in said
    assert sorted(reviewed(repository)) == [".git/config", HOOK]


def test_what_came_between_sessions_is_reported_at_the_next(repository: World) -> None:
    write_hook(repository.project, "evil\n")
    said = sh(repository, "true")
    assert SINCE in said
    assert "    - echo mine\n" in said
    assert DURING not in said


def test_what_git_writes_all_day_is_nothing(repository: World) -> None:
    said = sh(
        repository, "git config remote.origin.url x; git config user.name A; git config branch.main.remote origin"
    )
    assert DURING not in said
    sh(repository, EVIL)
    repository.ok("review", "--restore")
    config = (repository.project / ".git/config").read_text()
    assert "url = x" in config, "putting back loses nothing of an earlier session"
    assert "fsmonitor" not in config


def test_accepted_is_known(repository: World) -> None:
    sh(repository, EVIL)
    assert f"{HOOK} is known from now on" in repository.ok("review", "--accept").err
    assert reviewed(repository) == []
    assert "not accepted" not in sh(repository, "true")
    assert "evil" in (repository.project / HOOK).read_text()
    write_hook(repository.project, "worse\n", "post-checkout")
    assert reviewed(repository) == [HOOK]


def test_only_what_was_shown_can_be_accepted(repository: World) -> None:
    sh(repository, EVIL)
    write_hook(repository.project, "worse\n", "post-checkout")
    done = repository.run("review", "--accept", HOOK)
    assert done.status == 1
    assert "not accepted yet" in done.err
    assert "+ worse" in done.err
    repository.ok("review", "--accept", HOOK)
    assert reviewed(repository) == [".git/config"]


def test_one_path_or_what_is_below_it(repository: World) -> None:
    sh(repository, EVIL)
    repository.ok("review", "--restore", "hooks", directory=repository.project / ".git")
    assert reviewed(repository) == [".git/config"]
    assert "Nothing changed at" in repository.fails(2, "review", "--accept", ".envrc")
    assert "exclude each other" in repository.fails(2, "review", "--accept", "--restore")


def test_what_is_found_by_the_way_is_shown_before_it_can_be_accepted(repository: World) -> None:
    sh(repository, EVIL)
    write_hook(repository.project, "worse\n", "post-merge")
    assert "+ worse" in repository.ok("review", "--restore", ".git/config").err
    assert sorted(reviewed(repository)) == [HOOK, ".git/hooks/post-merge"]


def test_a_dry_run_changes_nothing(repository: World) -> None:
    sh(repository, EVIL)
    before = repository.tree()
    assert f"would put back {HOOK}" in repository.ok("--dry-run", "review", "--restore").err
    assert f"{HOOK} would be known from now on" in repository.ok("--dry-run", "review", "--accept").err
    assert repository.tree() == before


def test_before_any_session_there_is_nothing_to_compare(world: World) -> None:
    assert "nothing to compare with yet" in world.ok("review").err


def test_off_it_looks_at_nothing(world: World) -> None:
    subprocess.run(["git", "init", "--quiet", str(world.project)], check=True)
    sh(world, EVIL, tripwire="0")
    assert not list(world.state.rglob("tripwire"))
    sh(world, "true")
    assert DURING not in sh(world, "git config core.pager evil", tripwire="0")
    assert SINCE in sh(world, "true"), "and on again, it tells what happened meanwhile"


# --- More than one -----------------------------------------------------------------------------------------------------


def test_of_two_sessions_at_once_one_tells_it(repository: World) -> None:
    first, second = repository.hold(), repository.hold()
    sh(repository, "true")
    subprocess.run(["git", "-C", str(repository.project), "config", "core.fsmonitor", "evil"], check=True)
    said = [session.communicate()[1].decode() for session in (first, second)]
    assert [text.count(DURING) for text in said] == [1, 0]
    assert reviewed(repository) == [".git/config"]


def test_twenty_sessions_that_end_at_once_tell_each_change_once(repository: World) -> None:
    crowd = [
        repository.start("shell", "--", "sh", "-c", f"cat; echo evil >.git/hooks/evil-{number}") for number in range(20)
    ]
    for session in crowd:
        assert session.stdin
        session.stdin.close()
        session.stdin = None
    said = "".join(session.communicate()[1].decode() for session in crowd)
    assert [session.returncode for session in crowd] == [0] * 20
    told = [said.count(f".git/hooks/evil-{number}: new") for number in range(20)]
    more = "more places" in said
    assert max(told) == 1
    assert min(told) == 1 or more
    assert len(reviewed(repository)) == 20


def test_what_all_projects_share_is_told_once(repository: World) -> None:
    other = repository.make_project("other")
    repository.ok("shell", "--", "true", directory=other)
    settings = repository.home / ".claude" / "settings.json"
    said = sh(repository, f'echo \'{{"apiKeyHelper": "evil"}}\' >{settings}')
    assert '~/.claude/settings.json: changed; run by Claude Code, when it starts\n    + apiKeyHelper = "evil"' in said
    done = repository.ok("shell", "--", "true", directory=other)
    assert SINCE not in done.err
    repository.ok("review", "--restore", directory=other)
    assert settings.read_text() == '{"model": "opus"}'
    assert reviewed(repository) == []


def test_it_is_forgotten_with_the_instance(repository: World) -> None:
    sh(repository, EVIL)
    name = repository.instance()
    assert (repository.state / "agentvm/agentvm/tripwire" / name).is_dir()
    assert "changes of what this computer runs, never accepted: 2;" in repository.ok("rm", "--force").err
    assert not [path for path in repository.state.rglob("*") if name in path.name and path.suffix != ".log"]
    assert "nothing to compare with yet" in repository.ok("review").err


def test_what_is_kept_is_private(repository: World) -> None:
    sh(repository, EVIL)
    repository.ok("review", "--restore")
    for path in [place for top in repository.state.rglob("tripwire") for place in (top, *top.rglob("*"))]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


# --- Ends --------------------------------------------------------------------------------------------------------------


def test_no_login_is_kept_in_a_second_place(repository: World) -> None:
    """Unless it makes opencode fetch its settings from an address: that is executed, and its change is told."""
    login = repository.home / ".local/share/opencode/auth.json"
    login.parent.mkdir(parents=True)
    login.write_text('{"anthropic": {"type": "api", "key": "sk-first"}}')
    repository.ok("shell", "--", "true")
    login.write_text('{"anthropic": {"type": "api", "key": "sk-second"}}')
    assert "runs" not in repository.ok("shell", "--", "true").err
    kept = [path.read_bytes() for path in repository.state.rglob("*") if path.is_file()]
    assert not any(b"sk-" in content for content in kept)
    login.write_text('{"https://evil.example": {"type": "wellknown", "key": "k", "token": "t"}}')
    assert "auth.json" in repository.ok("shell", "--", "true").err


def test_a_session_that_a_signal_ends_is_reported(repository: World) -> None:
    session = repository.start("shell", "--", "sh", "-c", f"{EVIL}; echo ready; cat")
    assert session.stdout
    assert session.stdout.readline() == b"ready\n"
    session.send_signal(signal.SIGTERM)
    assert session.wait(20) == 128 + signal.SIGTERM
    assert session.stderr
    assert DURING in session.stderr.read().decode()


def test_a_session_that_is_killed_is_reported_by_the_next(repository: World) -> None:
    session = repository.start("shell", "--", "sh", "-c", f"{EVIL}; echo ready; cat")
    assert session.stdout
    assert session.stdout.readline() == b"ready\n"
    session.kill()
    session.wait()
    assert SINCE in sh(repository, "true")


def test_on_a_terminal_the_report_comes_after_it_is_restored(repository: World) -> None:
    """The guest's alternate screen is gone when it is printed, so it stays to be read."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        [*program(), "shell", "--", "sh", "-c", f"printf '\\033[?1049h'; {EVIL}"],
        cwd=repository.project,
        env=repository.environment | {"TERM": "xterm"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    ) as process:
        os.close(slave)
        said = b""
        try:
            while data := os.read(master, 65536):
                said += data
        except OSError:
            pass
        finally:
            os.close(master)
    assert process.returncode == 0
    assert said.rindex(b"\x1b[?1049l") < said.index(DURING.encode())


# --- Attacks -----------------------------------------------------------------------------------------------------------


def test_hooks_that_became_a_link_are_put_back_and_nothing_behind_it(repository: World) -> None:
    victim = repository.home / "victim"
    victim.mkdir()
    (victim / "pre-commit").write_text("the host's")
    said = sh(repository, f"mv .git/hooks .git/aside; ln -s {victim} .git/hooks")
    assert f".git/hooks: new; run by git, on what it is named for\n    + a link to {victim}" in said
    repository.ok("review", "--restore")
    assert sorted(os.listdir(victim)) == ["pre-commit"]
    assert (victim / "pre-commit").read_text() == "the host's"
    hook = repository.project / ".git/hooks/pre-commit"
    assert (hook.read_text(), hook.stat().st_mode & 0o777) == ("#!/bin/sh\necho mine\n", 0o755)
    assert reviewed(repository) == []


def test_a_repository_that_was_swapped_for_another(repository: World) -> None:
    said = sh(repository, "mv .git own; mkdir evil; echo 'gitdir: evil' >.git")
    assert ".git: new; run by git, which takes the repository from there\n    + gitdir: evil" in said


def test_a_bare_repository_is_a_finding(repository: World) -> None:
    bare = "git init --quiet --bare {0} && git -C {0} config core.fsmonitor evil"
    assert "bait/config: new" in sh(repository, bare.format("bait"))
    sh(repository, f"mkdir -p a/b; {bare.format('a/b/bait')}")
    assert reviewed(repository) == ["a/b/bait/config", "bait/config"]
    repository.ok("review", "--restore", "a")
    assert "a/b/bait/config: new" in sh(
        repository, "git -C a/b/bait init --quiet --bare; git -C a/b/bait config core.pager x"
    )


HOSTILE = r"""
printf '[core]\n\tfsmonitor = "\033]0;title\007 \342\200\256 x"\n' >.git/config
printf 'evil' >"$(printf '.git/hooks/a\nagentvm: nothing changed\033[2J')"
"""


def test_names_and_contents_drive_no_terminal(repository: World) -> None:
    said = sh(repository, HOSTILE)
    done = repository.run("review")
    for text in (said, done.out, done.err):
        assert all(char.isprintable() or char == "\n" for char in text)
    assert "\nagentvm: nothing changed" not in said
    assert r".git/hooks/a\nagentvm: nothing changed\x1b[2J: new" in said
    repository.ok("review", "--restore")
    assert reviewed(repository) == []


@pytest.mark.parametrize(
    "script",
    [
        "mkfifo .envrc",
        "head -c 5000000 /dev/zero >.envrc",
        "rm -r .git/hooks; mkdir .git/hooks; cd .git/hooks; seq 1001 | xargs touch",
        "git config core.pager less; rm -r .git/hooks; mkdir -m 311 .git/hooks",
        "ln -s /dev/zero .envrc",
        "rm -r .git; ln -s .git .git",
    ],
)
def test_what_can_not_be_read_neither_stops_nor_hides(repository: World, script: str) -> None:
    assert DURING in sh(repository, script)
    assert repository.run("review").status in (0, 1)
    assert repository.run("review", "--restore").status in (0, 1)
    assert "Traceback" not in repository.run("review").err
