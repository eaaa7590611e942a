"""A hostile guest, as far as it shows without a machine: what it writes, says and names, and what agentvm does with that."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.world import World, write_program
from tests.tables import Record
from tests.unit.test_untrusted import DOTTED, make_sparse, swapped

pytestmark = pytest.mark.attacks
MARK = "secret-of-the-host"
INI = f"[pypi]\n\tuser = {MARK}\n"
GARBAGE = r"\033]0;owned\007\033[2J\033]52;c;b3duZWQ=\007\233 31m\r\nagentvm: all is well"


def said(world: World, *words: str, **variables: str) -> str:
    """All that agentvm prints; nothing in it drives a terminal, and it is no bug."""
    done = world.run(*words, directory=None, stdin="", **variables)
    assert done.status in (0, 1, 2), done
    text = done.out + done.err
    assert "Traceback" not in text
    assert all(char.isprintable() or char in "\n\t" for char in text), repr(text)
    return text


# --- What the host reads -----------------------------------------------------------------------------------------------


def write(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(text)


KINDS: dict[str, Callable[[Path], object]] = {
    "1 GiB": make_sparse,
    "a pipe": os.mkfifo,
    "a directory": os.mkdir,
    "nested JSON": write("[" * 200_000),
    "nested TOML": write("a = " + "[" * 200_000),
    "TOML for hours": write(f"[{DOTTED}]\n" + "".join(f"k{number} = 1\n" for number in range(2000))),
    "noise": lambda path: path.write_bytes(os.urandom(100_000)),
    "a link to a secret": lambda path: path.symlink_to("/proc/self/environ"),
}
FILES = {
    "home/.claude/settings.json": "claude",
    "home/.codex/config.toml": "codex",
    "config/opencode/opencode.json": "opencode",
    "config/gh/hosts.yml": "gh",
    "home/web/.mcp.json": "claude",
    "home/web/.git/config": "",
    "home/web/.git": "",
}


@pytest.mark.parametrize("file", FILES)
def test_whatever_is_where_agentvm_reads(ready: World, file: str, record: Record) -> None:
    """The session starts all the same, and doctor tells what it can."""
    for agent in ("claude", "codex", "opencode", "gh"):
        ready.add_program(agent, "true")
    subprocess.run(["git", "init", "-q", str(ready.project)], check=True, env=ready.environment)
    path = ready.directory / file
    path.parent.mkdir(parents=True, exist_ok=True)
    for kind, make in KINDS.items():
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        make(path)
        done = ready.run(*((FILES[file],) if FILES[file] else ("shell", "--", "true")))
        assert done.status == 0, (kind, done)
        said(ready, "doctor")
    record(f"{file}: {', '.join(KINDS)}", "sessions start; nothing is followed", tried=len(KINDS))


def test_a_directory_that_becomes_a_link_while_doctor_looks(ready: World, record: Record) -> None:
    ready.add_program("claude", "echo 1")
    hidden = ready.home / "private"
    hidden.mkdir()
    settings = {"mcpServers": {"x": {"command": f"/{MARK}"}}}
    (hidden / "settings.json").write_text(json.dumps(settings))
    (ready.project / ".claude").mkdir()
    (ready.project / ".claude/settings.json").write_text("{}")
    (ready.project / "link").symlink_to(hidden)
    with swapped(ready.project / ".claude", ready.project / "link"):
        for _ in range(8):
            assert MARK not in said(ready, "doctor")
    record("a directory and a link changed places while doctor looked", "nothing behind the link was read", tried=8)


def test_the_users_own_file_leads_by_a_link_of_the_guests_to_a_secret(ready: World, record: Record) -> None:
    """The project are her dotfiles."""
    (ready.home / ".pypirc").write_text(INI)
    (ready.project / "gitconfig").write_text("[user]\n\tname = Ann\n")
    for name in (".gitconfig", ".git-credentials"):
        (ready.home / name).symlink_to(ready.project / "gitconfig")
    assert ready.ok("shell", "--", "sh", "-c", "cat ~/.gitconfig").out.startswith("[user]\n\tname = Ann\n")
    (ready.project / "gitconfig").unlink()
    (ready.project / "gitconfig").symlink_to(ready.home / ".pypirc")
    done = ready.ok("shell", "--", "sh", "-c", "cat ~/.gitconfig ~/.git-credentials || :")
    assert MARK not in done.out + done.err.partition("No such file")[0]
    assert f"{ready.project}/gitconfig is a link, which a VM could have made" in done.err
    assert all(MARK not in path.read_text() for path in ready.guest_home().rglob(".git*"))
    record("~/.gitconfig leads into the project, where a guest put a link", "not copied, and said", tried=2)


@pytest.mark.parametrize("by", ["CODEX_HOME", "CLAUDE_CONFIG_DIR", "~/.claude"])
def test_the_users_own_directory_leads_by_a_link_of_the_guests_to_a_secret(
    ready: World, by: str, record: Record
) -> None:
    (ready.home / "private").mkdir()
    (ready.project / "own").symlink_to(ready.home / "private")
    if by.isupper():
        ready.environment[by] = str(ready.project / "own")
    else:
        shutil.rmtree(ready.home / ".claude")
        (ready.home / ".claude").symlink_to(ready.project / "own")
    refused = ready.fails(2, "shell", "--", "true")
    assert f"{ready.project}/own is a link, which a VM could have made" in refused
    assert MARK not in said(ready, "status")
    (ready.project / "own").unlink()
    (ready.project / "own").mkdir()
    ready.ok("shell", "--", "true")
    record(f"{by} leads into the project, where a guest put a link", "refused with the reason")


@pytest.mark.parametrize("file", ["config.yml", "hosts.yml"])
def test_ghs_files_become_links_to_a_secret(ready: World, file: str, record: Record) -> None:
    """They are mounted read-only, and with QEMU and virtiofs a guest's root can write there."""
    (ready.home / "secret").write_text(
        f"{MARK}\n" if file == "config.yml" else f"github.com:\n    oauth_token: {MARK}\n"
    )
    (ready.config / "gh").mkdir(exist_ok=True)
    (ready.config / "gh/hosts.yml").write_text("github.com:\n    user: me\n")
    (ready.config / "gh" / file).unlink(missing_ok=True)
    (ready.config / "gh" / file).symlink_to(ready.home / "secret")
    done = ready.ok("shell", "--", "sh", "-c", 'env; cat "$GH_CONFIG_DIR/config.yml"')
    assert MARK not in done.out + done.err
    assert f"gh/{file} can't be used" in done.err
    assert "it is a link, which a VM could have made" in done.err
    record(f"gh's {file} became a link to a secret", "not followed, and said")


def test_a_guest_that_removes_its_git_does_not_get_the_work_tree_around(ready: World, record: Record) -> None:
    inner = ready.project / "inner"
    inner.mkdir()
    for place in (ready.project, inner):
        (place / ".git").mkdir()
    ready.ok("rm", "--force")
    ready.ok("shell", "--", "true", directory=inner)
    (inner / ".git").rmdir()
    refused = ready.fails(1, "shell", "--", "true", directory=inner)
    assert f"all of {ready.project} would be shared" in refused
    assert ready.ok("shell", "--", "pwd").out == f"{ready.project}\n", "from the outer one itself it is meant"
    record("a guest removed its project's .git", "the work tree around it was not shared")


# --- What the host starts ----------------------------------------------------------------------------------------------

PROGRAMS = ("git", "gh", "ssh", "limactl", "ssh-add")
KEYS = """core.fsmonitor core.pager core.editor core.sshCommand core.gitProxy core.askPass core.alternateRefsCommand diff.external
pager.config alias.config credential.helper gpg.program sequence.editor init.templateDir uploadpack.packObjectsHook""".split()


def test_nothing_of_the_projects_is_started(ready: World, record: Record) -> None:
    owned = ready.directory / "owned"
    for name in PROGRAMS:
        write_program(ready.project / "bin" / name, f"touch '{owned}'\n")
    environment = ready.environment
    subprocess.run(["git", "init", "-q", str(ready.project)], check=True, env=environment)
    for key in KEYS:
        value = f"!{ready.project}/bin/git" if key.startswith("alias") else f"{ready.project}/bin/git"
        subprocess.run(["git", "-C", str(ready.project), "config", key, value], check=True, env=environment)
    subprocess.run(["git", "-C", str(ready.project), "config", "core.hooksPath", "bin"], check=True, env=environment)
    (ready.config / "gh").mkdir(exist_ok=True)
    (ready.config / "gh/hosts.yml").write_text("github.com:\n    user: me\n")
    (ready.home / "mine").symlink_to(ready.project / "bin")
    before = (f"{ready.project}/bin", f"{ready.home}/mine", "bin", ".", "")
    path = ":".join((*before, environment["PATH"]))
    for words in (["shell", "--", "true"], ["status"], ["list"], ["doctor"]):
        said(ready, *words, PATH=path)
    assert not owned.exists()
    warned = said(ready, "doctor", PATH=path)
    for place in before:
        assert f"{place or '(empty)'} is on your PATH" in warned
    assert "is on your PATH" not in said(ready, "doctor")
    record(
        "programs of the project's on the PATH, and in git's settings", "none is started", len(KEYS) + 5 * len(before)
    )


def test_git_writes_no_trace_to_where_an_included_file_says(ready: World, record: Record) -> None:
    """~/.gitconfig includes a file of the dotfiles, which are the project; only then git obeys."""
    (ready.project / "work").write_text(f"[trace2]\n\teventTarget = {ready.home}/.profile\n")
    (ready.home / ".gitconfig").write_text(f"[include]\n\tpath = {ready.project}/work\n")
    ready.ok("shell", "--", "true")
    assert not (ready.home / ".profile").exists()
    record("a trace of git's into a file of the host's", "not written")


# --- What the host prints and waits for --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["claude", "codex", "opencode"])
def test_versions_and_logins_that_drive_a_terminal(ready: World, name: str, record: Record) -> None:
    ready.add_program(name, f"printf '{GARBAGE}\\n'; head -c 50000 /dev/urandom")
    for word in ("status", "doctor"):
        assert "\nagentvm: all is well" not in said(ready, word)
        json.loads(ready.run(word, "--json").out)
    record(f"escapes and noise for {name}'s version and login", "printed clean", tried=4)


def test_a_login_in_json_without_end(ready: World, record: Record) -> None:
    ready.add_program("claude", "[ \"$1\" = --version ] && echo 1 || head -c 90000 /dev/zero | tr '\\0' '['")
    assert "is not logged in in this VM" in said(ready, "doctor")
    record("claude's login as nested JSON", "not logged in")


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ("never", "exec sleep 600"),
        ("a byte now and then", "while :; do printf x; sleep 0.2; done"),
        ("without end", "exec yes"),
    ],
)
def test_status_does_not_wait_for_ever(ready: World, how: str, text: str, record: Record) -> None:
    ready.add_program("claude", text)
    shown = ready.json("status")
    assert shown["status"] == "running"
    record(f"an agent tells its version {how}", "status comes without it")


def test_names_in_the_project_stay_on_their_line(world: World, record: Record) -> None:
    place = world.make_project("a\nagentvm: all is well \033[2J\N{RIGHT-TO-LEFT OVERRIDE}")
    for words in (("status",), ("list",), ("doctor",), ("shell", "--", "true"), ("shell", "nothing")):
        done = world.run(*words, directory=place)
        text = done.out + done.err
        assert "\nagentvm: all is well" not in text
        assert all(char.isprintable() or char == "\n" for char in text), repr(text)
    record("a directory named like a line of agentvm's, with escapes", "one line, clean", tried=5)


def test_doctor_asks_a_silent_guest_once(ready: World, record: Record) -> None:
    """Each question may take minutes. Here the whole of the guest's shell ends, which is as silent and faster."""
    asked = ready.directory / "asked"
    ready.add_program("claude", "kill -9 0")
    ready.add_program("codex", f"touch '{asked}'")
    assert "the VM does not answer, and is not asked about the others" in said(ready, "doctor")
    assert not asked.exists()
    record("a guest that answers no question of doctor's", "said, and not asked again")
