"""The session script, really run: by every POSIX shell that is found, in a home of its own, with stubs for programs."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest

from agentvm.agents import CLAUDE, CODEX, GH, NPM_PREFIX, Agent
from agentvm.errors import UsageError
from agentvm.guest_shell import GUEST_TOOLS, INSTALL, VARIABLE
from agentvm.home import surround
from agentvm.session import (
    LARGEST_SCRIPT,
    STARTER,
    Attachment,
    Program,
    build_script,
    build_update,
    signal_script,
)
from agentvm.sharing import Link, Own, Sharing, SyncedFile

SHELLS = {"dash": (), "bash": ("--posix",), "busybox": ("sh",)}
FOUND = {name: (path, *words) for name, words in SHELLS.items() if (path := shutil.which(name))}
TOOLS = """cat chmod cmp cp date env flock kill ln ls mkdir mv printf readlink rm rmdir sh sleep""".split()
"""All that a guest must have; the real npm, node and agents of this machine are out of reach."""
TOKEN = "0123456789abcdef"
PIPED = Attachment(terminal=False, token=TOKEN)
HOSTILE = (
    "",
    " ",
    "-n",
    "'",
    '"',
    "\\",
    "$HOME",
    "$(id)",
    "`id`",
    "*",
    "~",
    "a\nb\n",
    "{token}",
    "%s",
    "\x01",
    "é",
    "\udcff",
)


class Guest(NamedTuple):
    """A home and a PATH, and the shell that runs scripts there."""

    shell: tuple[str, ...]
    home: Path
    programs: Path

    @property
    def environment(self) -> dict[str, str]:
        return {"HOME": str(self.home), "PATH": f"{self.programs}:{self.programs.parent}/tools", "LC_ALL": "C"}

    def stub(self, name: str, text: str) -> None:
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def start(self, script: str, **environment: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*self.shell, "-c", f'eval "${VARIABLE}"'],
            env=self.environment | environment | {VARIABLE: script},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def run(self, script: str, typed: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
        with self.start(script, **environment) as process:
            out, err = process.communicate(typed, timeout=20)
        return subprocess.CompletedProcess((), process.returncode, out, err)


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("guest") / "tools"
    directory.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found, f"these tests need {tool}"
        (directory / tool).symlink_to(found)
    return directory


@pytest.fixture(params=FOUND)
def guest(request: pytest.FixtureRequest, home: Path, tools: Path) -> Guest:
    programs = home.parent / "programs"
    programs.mkdir()
    (home.parent / "tools").symlink_to(tools)
    return Guest(FOUND[request.param], home, programs)


@pytest.fixture
def shared(home: Path) -> Path:
    """What of the host is mounted."""
    directory = home.parent / "host home"
    directory.mkdir()
    return directory


def sharing(shared: Path, **changes: object) -> Sharing:
    nothing = Sharing((), (), (), keys=Link(f"{shared}/.ssh", ".ssh"), keys_shared=False, files=())
    return Sharing(**{**nothing._asdict(), **changes})


def script(shared: Path, argv: Iterable[str] = ("sh", "-c", "exit 0"), **changes: object) -> str:
    return build_script(sharing(shared, **changes), Program(tuple(argv), str(shared)), PIPED)


def synced(shared: Path, content: str | None, path: str = ".gitconfig") -> str:
    return script(shared, files=(SyncedFile(path, content),))


# Arguments, environment, statuses


def test_arguments_arrive_byte_for_byte(guest: Guest, shared: Path) -> None:
    guest.stub("show", "printf '%s\\0' \"$@\"")
    done = guest.run(script(shared, ("show", *HOSTILE)))
    assert done.stdout.split(b"\0")[:-1] == [os.fsencode(word) for word in HOSTILE]


def test_streams_are_the_programs_own(guest: Guest, shared: Path) -> None:
    data = bytes(range(256)) * 4000
    assert guest.run(script(shared, ("cat",)), data).stdout == data


@pytest.mark.parametrize(
    ("command", "status"),
    [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -9 $$", 137), ("kill -TERM $$", 143)],
)
def test_the_status_is_the_programs_own(guest: Guest, shared: Path, command: str, status: int) -> None:
    assert guest.run(script(shared, ("sh", "-c", command))).returncode == status


def test_a_program_that_is_not_there(guest: Guest, shared: Path) -> None:
    done = guest.run(script(shared, ("no-such-program",)))
    assert done.returncode == 127
    assert b"no-such-program" in done.stderr


def test_a_login_shell_when_nothing_is_named(guest: Guest, shared: Path) -> None:
    guest.stub("login", 'echo "login: $*"')
    done = guest.run(script(shared, ()), SHELL=f"{guest.programs}/login")
    assert done.stdout == b"login: -l\n"


def test_the_script_itself_is_not_in_the_programs_environment(guest: Guest, shared: Path) -> None:
    lines = guest.run(script(shared, ("env",))).stdout.splitlines()
    assert not [line for line in lines if line.startswith(VARIABLE.encode())]
    assert b"AGENTVM_GUEST=1" in lines


def environment_seen(guest: Guest, shared: Path, program: Program) -> dict[str, str]:
    guest.stub("show-environment", "env -0")
    done = guest.run(build_script(sharing(shared), program._replace(argv=("show-environment",)), PIPED))
    assert done.returncode == 0, done.stderr
    return dict(os.fsdecode(pair).split("=", 1) for pair in done.stdout.split(b"\0")[:-1])


def test_variables_of_the_host_arrive_as_they_are(guest: Guest, shared: Path) -> None:
    variables = tuple((f"V{number}", word) for number, word in enumerate((*HOSTILE, "~/not a home", "a=b")))
    seen = environment_seen(guest, shared, Program((), str(shared), variables))
    assert {name: seen[name] for name, _ in variables} == dict(variables)


def test_an_agents_own_variables_may_be_below_the_guests_home(guest: Guest, shared: Path) -> None:
    """They are there for a shell, too: its user may start any agent."""
    guest.stub("show-environment", "env -0")
    program = Program(("show-environment",), str(shared))
    done = guest.run(build_script(sharing(shared), program, PIPED, (surround("linux"),)))
    seen = dict(os.fsdecode(pair).split("=", 1) for pair in done.stdout.split(b"\0")[:-1])
    assert seen["CODEX_SQLITE_HOME"] == f"{guest.home}/.local/state/agentvm/codex"
    assert (guest.home / ".local/state/agentvm/codex").is_dir()


def test_it_runs_in_the_directory(guest: Guest, shared: Path) -> None:
    directory = shared / 'it\'s a "dir" $HOME'
    directory.mkdir()
    done = guest.run(build_script(sharing(shared), Program(("sh", "-c", "pwd"), str(directory)), PIPED))
    assert os.fsdecode(done.stdout) == f"{directory}\n"


def test_a_directory_that_is_not_there(guest: Guest, shared: Path) -> None:
    done = guest.run(build_script(sharing(shared), Program(("sh", "-c", "echo ran"), f"{shared}/gone"), PIPED))
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"agentvm: the directory is not there in this VM" in done.stderr


def test_a_script_that_is_too_long_to_travel(shared: Path) -> None:
    with pytest.raises(UsageError, match="too long"):
        script(shared, ("echo", "x" * LARGEST_SCRIPT))


@pytest.mark.parametrize("user_shell", FOUND)
def test_the_starter_needs_nothing_of_the_users_shell(guest: Guest, shared: Path, user_shell: str) -> None:
    environment = guest.environment | {VARIABLE: script(shared, ("sh", "-c", "echo ran; exit 5"))}
    done = subprocess.run([*FOUND[user_shell], "-c", STARTER], env=environment, stdout=subprocess.PIPE, check=False)
    assert (done.returncode, done.stdout) == (5, b"ran\n")


def test_the_starter_without_a_script_says_what_to_do(guest: Guest) -> None:
    argv = [*guest.shell, "-c", STARTER]
    done = subprocess.run(argv, env=guest.environment, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert b"agentvm base apply" in done.stderr


# Signals without a terminal


@pytest.mark.parametrize(("name", "status"), [("INT", 130), ("TERM", 143), ("HUP", 129)])
def test_a_signal_reaches_the_program_and_its_children(guest: Guest, shared: Path, name: str, status: int) -> None:
    """Python sets SIGINT anew; a shell in the background would leave it ignored."""
    code = (
        "import signal,time; signal.signal(signal.SIGINT, signal.SIG_DFL); print('ready', flush=True); time.sleep(99)"
    )
    with guest.start(script(shared, (sys.executable, "-I", "-S", "-c", code))) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        subprocess.run([*guest.shell, "-c", signal_script(TOKEN, name)], env=guest.environment, check=True)
        assert process.wait(10) == status


def test_what_tells_a_sessions_processes_is_removed_by_a_later_one(guest: Guest, shared: Path) -> None:
    """A few dozen at once, and never that of a session that still runs."""
    run = guest.home / ".local/state/agentvm/run"
    run.mkdir(parents=True)
    for number in range(70):
        (run / f"over-{number}").write_text("4194304\n")
    (run / "running").write_text(f"{os.getpid()}\n")
    assert guest.run(script(shared)).returncode == 0
    assert {file.name for file in run.iterdir()} <= {"running", TOKEN}
    assert (run / "running").exists()


def test_a_signal_for_a_session_that_is_over(guest: Guest, shared: Path) -> None:
    assert guest.run(script(shared)).returncode == 0
    argv = [*guest.shell, "-c", signal_script(TOKEN, "TERM")]
    assert subprocess.run(argv, env=guest.environment, stderr=subprocess.DEVNULL, check=False).returncode != 0


# Links


def claude(shared: Path) -> str:
    (shared / ".claude").mkdir(exist_ok=True)
    return script(shared, links=(Link(f"{shared}/.claude", ".claude"),))


def test_links_are_made_once_and_kept(guest: Guest, shared: Path) -> None:
    for _ in range(2):
        assert guest.run(claude(shared)).stderr == b""
        assert (guest.home / ".claude").readlink() == shared / ".claude"
    assert not list((shared / ".claude").iterdir()), "a link that is made again would land inside the directory"


def test_a_link_below_a_directory(guest: Guest, shared: Path) -> None:
    assert guest.run(script(shared, links=(Link(str(shared), ".config/opencode"),))).stderr == b""
    assert (guest.home / ".config/opencode").readlink() == shared


@pytest.mark.parametrize("there", ["nowhere", "elsewhere"])
def test_a_link_to_another_place_is_replaced(guest: Guest, shared: Path, there: str) -> None:
    (guest.home / "elsewhere").mkdir()
    (guest.home / ".claude").symlink_to(guest.home / there)
    guest.run(claude(shared))
    assert (guest.home / ".claude").readlink() == shared / ".claude"
    assert (guest.home / "elsewhere").is_dir()


def test_an_empty_directory_makes_way(guest: Guest, shared: Path) -> None:
    (guest.home / ".claude").mkdir()
    assert guest.run(claude(shared)).stderr == b""
    assert (guest.home / ".claude").is_symlink()


def test_an_own_directory_is_moved_aside_and_kept(guest: Guest, shared: Path) -> None:
    (guest.home / ".claude").mkdir()
    (guest.home / ".claude" / "mine").write_text("mine")
    done = guest.run(claude(shared))
    assert (guest.home / ".claude").readlink() == shared / ".claude"
    aside = next(guest.home.glob(".claude.guest-*"))
    assert (aside / "mine").read_text() == "mine"
    assert os.fsencode(aside) in done.stderr


def test_a_directory_of_the_guests_own_and_back(guest: Guest, shared: Path) -> None:
    """Another AGENTVM_CONFIG is another link: what each had is there again."""
    (shared / ".claude").mkdir()
    (shared / ".claude/host").touch()
    own, isolated = (script(shared, own=(Own(f"{mode}/claude", ".claude"),)) for mode in ("overlay", "isolated"))
    place = guest.home / ".local/state/agentvm"
    for text, leads in (
        (own, "overlay/claude"),
        (isolated, "isolated/claude"),
        (claude(shared), ""),
        (own, "overlay/claude"),
    ):
        assert guest.run(text).stderr == b""
        assert (guest.home / ".claude").samefile(place / leads if leads else shared / ".claude")
        (guest.home / ".claude" / (leads or "shared").replace("/", "-")).touch()
    assert [path.name for path in (place / "overlay/claude").iterdir()] == ["overlay-claude"]
    assert (place / "overlay/claude").stat().st_mode & 0o077 == 0


def test_sessions_are_linked_into_the_guests_own_directory(guest: Guest, shared: Path) -> None:
    own = (Own("overlay/claude", ".claude"),)
    link = Link(f"{shared}/projects", ".local/state/agentvm/overlay/claude/projects")
    (shared / "projects").mkdir()
    text = script(shared, ("sh", "-c", "echo x >~/.claude/projects/1.jsonl"), own=own, links=(link,))
    assert guest.run(text).stderr == b""
    assert (shared / "projects/1.jsonl").read_text() == "x\n"
    guest.run(script(shared, own=own, unlinked=(link,)))
    assert list((guest.home / ".claude").iterdir()) == []


def test_two_sessions_at_once_make_one_link(guest: Guest, shared: Path) -> None:
    """Another session links it right before this one does: in the shared directory nothing may appear."""
    mkdir = shutil.which("mkdir")
    link = f'[ -h "$HOME/.claude" ] || ln -s "{shared}/.claude" "$HOME/.claude"'
    guest.stub("mkdir", f'{link}\nexec {mkdir} "$@"')
    guest.run(claude(shared))
    assert (guest.home / ".claude").readlink() == shared / ".claude"
    assert not list((shared / ".claude").iterdir())


def test_gh_switched_off_takes_our_link_away(guest: Guest, shared: Path) -> None:
    gh = Link(f"{shared}/gh", ".config/gh")
    (shared / "gh").mkdir()
    guest.run(script(shared, links=(gh,)))
    assert (guest.home / ".config/gh").is_symlink()
    guest.run(script(shared, unlinked=(gh,)))
    assert not (guest.home / ".config/gh").is_symlink()
    assert (shared / "gh").is_dir()


@pytest.mark.parametrize("own", ["directory", "link"])
def test_gh_switched_off_leaves_what_is_the_guests(guest: Guest, shared: Path, own: str) -> None:
    path = guest.home / ".config" / "gh"
    path.parent.mkdir()
    if own == "directory":
        path.mkdir()
    else:
        path.symlink_to(guest.home)
    guest.run(script(shared, unlinked=(Link(f"{shared}/gh", ".config/gh"),)))
    assert os.path.lexists(path)


# Keys


@pytest.fixture
def keys(shared: Path) -> Path:
    directory = shared / ".ssh"
    directory.mkdir(0o700)
    for name in (
        "id_ed25519",
        "config",
        "known hosts",
        ".hidden",
        "authorized_keys",
        "authorized_keys2",
        "rc",
        "environment",
    ):
        (directory / name).write_text(f"the host's {name}")
    return directory


def ssh(guest: Guest, *, links_only: bool = True) -> set[str]:
    return {path.name for path in (guest.home / ".ssh").iterdir() if path.is_symlink() or not links_only}


def test_keys_are_linked_one_by_one(guest: Guest, shared: Path, keys: Path) -> None:
    for _ in range(2):
        assert guest.run(script(shared, keys_shared=True)).stderr == b""
        assert ssh(guest) == {"id_ed25519", "known hosts", ".hidden"}
        assert ssh(guest, links_only=False) == ssh(guest) | {"config"}
    assert stat.S_IMODE((guest.home / ".ssh").stat().st_mode) == 0o700


def test_the_guests_own_keys_stay(guest: Guest, shared: Path, keys: Path) -> None:
    (guest.home / ".ssh").mkdir(0o700)
    for name in ("authorized_keys", "config"):
        (guest.home / ".ssh" / name).write_text("the guest's")
    guest.run(script(shared, keys_shared=True))
    for name in ("authorized_keys", "config"):
        assert (guest.home / ".ssh" / name).read_text() == "the guest's"
    guest.run(script(shared))
    assert ssh(guest, links_only=False) == {"authorized_keys", "config"}


def test_keys_are_gone_when_switched_off(guest: Guest, shared: Path, keys: Path) -> None:
    """The directory is not mounted any more by then: the links lead nowhere."""
    guest.run(script(shared, keys_shared=True))
    shutil.rmtree(keys)
    (guest.home / ".ssh" / "foreign").symlink_to("/elsewhere/.ssh/foreign")
    guest.run(script(shared))
    assert ssh(guest) == {"foreign"}


def test_a_key_that_the_host_removed_is_gone(guest: Guest, shared: Path, keys: Path) -> None:
    guest.run(script(shared, keys_shared=True))
    (keys / "id_ed25519").unlink()
    guest.run(script(shared, keys_shared=True))
    assert ssh(guest) == {"known hosts", ".hidden"}


MAC_CONFIG = """\
IgnoreUnknown Foo
Bar yes
Host *
    UseKeychain yes
    AddKeysToAgent yes
    IdentityAgent "~/Library/Group Containers/2BUA8C4S2C.com.1password/t/agent.sock"
    ControlMaster auto
    ControlPath ~/.ssh/cm-%r@%h
Host work
    HostName work.example
    User me
"""


def effective_ssh(guest: Guest, **environment: str) -> dict[str, str]:
    """What ssh itself makes of the guest's configuration, for the host "work"."""
    argv = ["ssh", "-G", "-F", str(guest.home / ".ssh/config"), "work"]
    done = subprocess.run(argv, env={"PATH": os.environ["PATH"], **environment}, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(line.split(" ", 1) for line in done.stdout.decode().splitlines() if " " in line)


def test_a_macs_ssh_configuration_does_not_break_ssh(guest: Guest, shared: Path, keys: Path) -> None:
    (keys / "config").write_text(MAC_CONFIG)
    (keys / "config").chmod(0o600)
    guest.run(script(shared, keys_shared=True))
    seen = effective_ssh(guest)
    assert (seen["hostname"], seen["user"]) == ("work.example", "me")
    assert "controlpath" not in seen
    assert seen["controlmaster"] == "false"
    assert seen["identityagent"] == "SSH_AUTH_SOCK"


def test_our_ssh_configuration_goes_with_the_keys(guest: Guest, shared: Path, keys: Path) -> None:
    guest.run(script(shared, keys_shared=True))
    guest.run(script(shared))
    assert ssh(guest, links_only=False) == set()


def test_a_link_to_the_hosts_ssh_configuration_is_replaced(guest: Guest, shared: Path, keys: Path) -> None:
    (guest.home / ".ssh").mkdir(0o700)
    (guest.home / ".ssh/config").symlink_to(keys / "config")
    guest.run(script(shared, keys_shared=True))
    assert not (guest.home / ".ssh/config").is_symlink()
    assert (keys / "config").read_text() == "the host's config"


# Copied files


@pytest.mark.parametrize(
    "content",
    ["", "[user]\n", "no newline", 'it\'s "quoted" \\ $HOME `id`\n', "trailing\n\n\n", "%s\\n", "é\udcff\n", "-n"],
)
def test_a_file_is_copied_byte_for_byte(guest: Guest, shared: Path, content: str) -> None:
    for _ in range(2):
        assert guest.run(synced(shared, content)).stderr == b""
        assert (guest.home / ".gitconfig").read_bytes() == os.fsencode(content)
    assert stat.S_IMODE((guest.home / ".gitconfig").stat().st_mode) == 0o600


def test_a_change_on_the_host_arrives(guest: Guest, shared: Path) -> None:
    guest.run(synced(shared, "old"))
    assert guest.run(synced(shared, "new")).stderr == b""
    assert (guest.home / ".gitconfig").read_text() == "new"


def test_an_own_file_is_never_touched(guest: Guest, shared: Path) -> None:
    (guest.home / ".gitconfig").write_text("mine")
    done = guest.run(synced(shared, "host's"))
    assert (guest.home / ".gitconfig").read_text() == "mine"
    assert b"is this VM's own and stays" in done.stderr
    guest.run(synced(shared, None))
    assert (guest.home / ".gitconfig").read_text() == "mine"


def test_an_own_dangling_link_is_never_touched(guest: Guest, shared: Path) -> None:
    (guest.home / ".gitconfig").symlink_to("dotfiles/gitconfig")
    guest.run(synced(shared, "host's"))
    assert (guest.home / ".gitconfig").is_symlink()


def test_a_change_in_the_guest_is_kept_aside(guest: Guest, shared: Path) -> None:
    guest.run(synced(shared, "host's"))
    (guest.home / ".gitconfig").write_text("changed")
    done = guest.run(synced(shared, "host's"))
    assert (guest.home / ".gitconfig").read_text() == "host's"
    assert (guest.home / ".gitconfig.guest").read_text() == "changed"
    assert b"was changed in this VM" in done.stderr


def test_a_copy_that_was_removed_in_the_guest_comes_again(guest: Guest, shared: Path) -> None:
    guest.run(synced(shared, "host's"))
    (guest.home / ".gitconfig").unlink()
    guest.run(synced(shared, "host's"))
    assert (guest.home / ".gitconfig").read_text() == "host's"


def test_a_copy_is_removed_when_off_or_missing(guest: Guest, shared: Path) -> None:
    guest.run(synced(shared, "host's"))
    assert guest.run(synced(shared, None)).stderr == b""
    assert not (guest.home / ".gitconfig").exists()
    assert not list((guest.home / ".local/state/agentvm/synced").iterdir()), "no secret is left beside it"


def test_a_changed_copy_stays_when_off_and_is_the_guests_from_then_on(guest: Guest, shared: Path) -> None:
    guest.run(synced(shared, "host's"))
    (guest.home / ".gitconfig").write_text("changed")
    done = guest.run(synced(shared, None))
    assert b"it stays there" in done.stderr
    guest.run(synced(shared, "host's"))
    assert (guest.home / ".gitconfig").read_text() == "changed"


def test_a_copy_that_was_cut_off_is_made_again(guest: Guest, shared: Path) -> None:
    guest.stub("cp", "kill -KILL 0")
    assert guest.run(synced(shared, "host's")).returncode == -signal.SIGKILL
    (guest.programs / "cp").unlink()
    assert guest.run(synced(shared, "host's")).stderr == b""
    assert (guest.home / ".gitconfig").read_text() == "host's"


def test_a_copy_that_can_not_be_written_does_not_stop_the_session(guest: Guest, shared: Path) -> None:
    guest.stub("cp", "exit 1")
    done = guest.run(synced(shared, "host's"))
    assert done.returncode == 0
    assert b"could not be written" in done.stderr


# Installing

PREFIX = f'"$HOME/{NPM_PREFIX}"'
PACKAGE = f"{PREFIX}/lib/node_modules/@anthropic-ai/claude-code"
WORKING = '[ "$1" = --version ] && echo 2.1.0 || echo "claude ran: $*"'
NEEDS_COMPLETION = f"[ -e {PACKAGE}/native ] || exit 1; {WORKING}"


def npm(program: str, then: str = "") -> str:
    """A stub that installs `program` as claude."""
    return f"""echo "$*" >>"$HOME/npm.log"
mkdir -p {PREFIX}/bin {PACKAGE}
cat >{PREFIX}/bin/claude <<'END'
#!/bin/sh
{program}
END
chmod 755 {PREFIX}/bin/claude
{then}"""


def agent(shared: Path, **changes: object) -> str:
    fields = {**Program(("claude", "hi"), str(shared), agent=CLAUDE)._asdict(), **changes}
    return build_script(sharing(shared), Program(**fields), PIPED)


def npm_runs(guest: Guest) -> list[str]:
    log = guest.home / "npm.log"
    return log.read_text().splitlines() if log.exists() else []


def test_a_missing_agent_is_installed_once_and_proved(guest: Guest, shared: Path) -> None:
    guest.stub("npm", npm(WORKING))
    for _ in range(2):
        done = guest.run(agent(shared))
        assert (done.returncode, done.stdout) == (0, b"claude ran: hi\n"), done.stderr
    (run,) = npm_runs(guest)
    assert run.startswith(f"install -g --prefix {guest.home}/{NPM_PREFIX} ")
    assert run.endswith(" @anthropic-ai/claude-code@latest")
    assert (guest.home / ".local/state/agentvm/proved/claude").exists()


def test_an_agent_that_is_there_is_not_installed(guest: Guest, shared: Path) -> None:
    guest.stub("claude", WORKING)
    assert guest.run(agent(shared)).stdout == b"claude ran: hi\n"
    assert npm_runs(guest) == []


def test_scripts_that_npm_blocked_are_made_up_for(guest: Guest, shared: Path) -> None:
    guest.stub("npm", npm(NEEDS_COMPLETION))
    guest.stub("node", '[ "$1" = install.cjs ] && : >native')
    done = guest.run(agent(shared))
    assert (done.returncode, done.stdout) == (0, b"claude ran: hi\n"), done.stderr


@pytest.mark.parametrize(
    ("program", "fault", "words"),
    [
        (WORKING, "echo 404 >&2; exit 1", b"npm could not install @anthropic-ai/claude-code"),
        ("exit 1", "", b"does not run"),
    ],
)
def test_a_failed_installation_is_said_and_tried_again(
    guest: Guest, shared: Path, program: str, fault: str, words: bytes
) -> None:
    guest.stub("npm", npm(program, fault))
    guest.stub("node", "exit 1")
    done = guest.run(agent(shared))
    assert (done.returncode, done.stdout) == (1, b"")
    assert words in done.stderr
    guest.stub("npm", npm(WORKING))
    assert guest.run(agent(shared)).stdout == b"claude ran: hi\n"
    assert len(npm_runs(guest)) == 2


def test_an_installation_that_was_killed_is_healed(guest: Guest, shared: Path) -> None:
    """The program is there already, but nobody has seen it run."""
    guest.stub("npm", npm("exit 1", "kill -KILL 0"))
    assert guest.run(agent(shared)).returncode == -signal.SIGKILL
    assert (guest.home / NPM_PREFIX / "bin/claude").exists()
    guest.stub("npm", npm(WORKING))
    assert guest.run(agent(shared)).stdout == b"claude ran: hi\n"


def test_two_at_once_install_once(guest: Guest, shared: Path) -> None:
    guest.stub("npm", npm(WORKING, "sleep 0.3"))
    sessions = [guest.start(agent(shared)) for _ in range(2)]
    for session in sessions:
        with session:
            assert session.communicate(timeout=20)[0] == b"claude ran: hi\n"
    assert len(npm_runs(guest)) == 1


def test_what_installing_says_is_not_the_programs_output(guest: Guest, shared: Path) -> None:
    """Nor does npm read what was meant for the agent."""
    guest.stub("npm", npm("[ $1 = --version ] || exec cat", "echo noise; cat"))
    done = guest.run(agent(shared), b"for the agent")
    assert done.stdout == b"for the agent"
    assert b"noise" in done.stderr


def test_no_npm(guest: Guest, shared: Path) -> None:
    done = guest.run(agent(shared))
    assert done.returncode == 1
    assert b"npm is not in this VM" in done.stderr


def test_auto_install_switched_off(guest: Guest, shared: Path) -> None:
    guest.stub("npm", npm(WORKING))
    done = guest.run(agent(shared, skip_install=True))
    assert done.returncode == 127
    assert b"AGENTVM_SKIP_AUTO_INSTALL" in done.stderr
    assert npm_runs(guest) == []


def test_a_custom_command_installs(guest: Guest, shared: Path) -> None:
    guest.stub("npm", npm(WORKING))
    command = (
        "mkdir -p \"$HOME/.local/bin\" && printf '%s\\n' '#!/bin/sh' 'echo \"custom: $*\"' >\"$HOME/.local/bin/claude\""
        ' && chmod 755 "$HOME/.local/bin/claude"'
    )
    done = guest.run(agent(shared, install=command))
    assert (done.returncode, done.stdout) == (0, b"custom: hi\n"), done.stderr
    assert npm_runs(guest) == []
    again = guest.run(agent(shared, install="echo again >&2; exit 1"))
    assert again.stdout == b"custom: hi\n"


@pytest.mark.parametrize(
    ("command", "words"), [("exit 3", b"failed with status 3"), (":", b"there is no claude on the VM's PATH")]
)
def test_a_custom_command_that_installs_nothing(guest: Guest, shared: Path, command: str, words: bytes) -> None:
    done = guest.run(agent(shared, install=command))
    assert (done.returncode, done.stdout) == (1, b"")
    assert words in done.stderr


def update(shared: Path, *installs: tuple[Agent, str]) -> str:
    return build_update(sharing(shared), (), installs)


def test_an_update_tells_both_versions(guest: Guest, shared: Path) -> None:
    guest.stub("npm", npm(WORKING))
    assert guest.run(update(shared, (CLAUDE, ""))).stdout == b"claude is at 2.1.0 now\n"
    guest.stub("npm", npm(WORKING.replace("2.1.0", "2.2.0")))
    assert guest.run(update(shared, (CLAUDE, ""))).stdout == b"claude is at 2.2.0 now, it was at 2.1.0\n"
    assert guest.run(update(shared, (CLAUDE, ""))).stdout == b"claude is at 2.2.0\n"
    assert len(npm_runs(guest)) == 3


def test_an_update_that_fails_leaves_what_works(guest: Guest, shared: Path) -> None:
    guest.stub("npm", npm(WORKING))
    guest.run(agent(shared))
    guest.stub("npm", "echo 404 >&2; exit 1")
    done = guest.run(update(shared, (CLAUDE, ""), (CODEX, "echo own >&2; exit 4")))
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"claude stays at 2.1.0" in done.stderr
    assert b"the command to install codex failed with status 4" in done.stderr
    assert guest.run(agent(shared, skip_install=True)).stdout == b"claude ran: hi\n"


# Programs of ours in the guest


def test_a_url_is_shown_instead_of_opened(guest: Guest, shared: Path) -> None:
    for program in ('"$BROWSER"', "xdg-open"):
        done = guest.run(script(shared, ("sh", "-c", f"{program} 'https://x.example/?a=%s&b'")))
        assert done.stderr == b"agentvm: open this in your browser: https://x.example/?a=%s&b\n"


CODEX_STUB = '[ "$1" = --help ] && echo "{help}" && echo asked >>"$HOME/asked" || echo "$*"'


@pytest.mark.parametrize(
    ("text", "given", "seen"),
    [
        ("--no-daemon  no server", ("exec", "a  b"), b"--no-daemon exec a  b\n"),
        ("--no-daemon  no server", ("--no-daemon",), b"--no-daemon\n"),
        ("--yolo", ("exec",), b"exec\n"),
        ("-c, --config", ("exec",), b"-c check_for_update_on_startup=false exec\n"),
        ("--config --no-daemon", ("-c", "x"), b"--no-daemon -c check_for_update_on_startup=false -c x\n"),
    ],
)
def test_codex_starts_no_server_where_it_can_be_told(
    guest: Guest, shared: Path, text: str, given: tuple[str, ...], seen: bytes
) -> None:
    guest.stub("codex", CODEX_STUB.replace("{help}", text))
    for _ in range(2):
        assert guest.run(script(shared, ("codex", *given))).stdout == seen
    assert (guest.home / "asked").read_text() == "asked\n", "once for each codex"


def test_another_codex_is_asked_anew(guest: Guest, shared: Path) -> None:
    guest.stub("codex", CODEX_STUB.replace("{help}", "--no-daemon"))
    assert guest.run(script(shared, ("codex", "x"))).stdout == b"--no-daemon x\n"
    time.sleep(0.02)
    guest.stub("codex", CODEX_STUB.replace("{help}", "nothing"))
    assert guest.run(script(shared, ("codex", "x"))).stdout == b"x\n"


def test_our_codex_without_a_codex(guest: Guest, shared: Path) -> None:
    """It is there only where it has something to start, and says so when that is gone."""
    assert guest.run(script(shared, ("sh", "-c", "command -v codex"))).stdout == b""
    guest.stub("codex", "exit 0")
    assert guest.run(script(shared, ("codex",))).returncode == 0
    (guest.programs / "codex").unlink()
    done = guest.run(script(shared, ("codex",)))
    assert (done.returncode, done.stderr) == (127, b"codex: not found\n")


def test_gh_comes_from_apt(guest: Guest, shared: Path) -> None:
    guest.stub("sudo", 'while [ "${1#-}" != "$1" ]; do shift; done; "$@"')
    gh = f"{guest.programs}/gh"
    guest.stub("apt-get", f'[ "$1" = update ] || {{ printf "#!/bin/sh\\necho gh: \\$*\\n" >{gh}; chmod 755 {gh}; }}')
    program = Program(("gh", "auth"), str(shared), agent=GH)
    done = guest.run(build_script(sharing(shared), program, PIPED))
    assert (done.returncode, done.stdout) == (0, b"gh: auth\n"), done.stderr


def test_shellcheck(shared: Path) -> None:
    everything = sharing(
        shared,
        links=(Link("/h/.claude", ".claude"),),
        unlinked=(Link("/h/gh", ".config/gh"),),
        keys_shared=True,
        files=(SyncedFile(".gitconfig", "it's"), SyncedFile(".git-credentials", None)),
    )
    program = Program(("claude", "it's"), "/work", (("NAME", "value"),), CLAUDE)
    excluded = (
        "SC2329,"  # a script calls only the functions that it needs
        "SC2016,"  # whole scripts are quoted, and checked by themselves
        "SC1003,"  # quote() writes '\'' for a single quote
        "SC2088,"  # a tilde in a message is for the reader
        "SC2015"  # A && B || C: here C is to run when B fails, too
    )
    checker = str(Path(sys.executable).with_name("shellcheck"))
    texts = [build_script(everything, program, Attachment(terminal, TOKEN)) for terminal in (True, False)]
    texts += [build_update(everything, (), ((CLAUDE, ""), (CODEX, "it's"))), *GUEST_TOOLS.values()]
    for text in texts:
        argv = [checker, "--shell=sh", f"--exclude={excluded}", "-"]
        done = subprocess.run(argv, input=text.encode(), stdout=subprocess.PIPE, check=False)
        assert done.returncode == 0, done.stdout.decode()


def test_a_warm_run_changes_nothing(guest: Guest, shared: Path) -> None:
    """It is a part of every run, so with everything in its place it starts none of these."""
    guest.stub("claude", WORKING)
    (shared / ".claude").mkdir()
    links, files = (Link(f"{shared}/.claude", ".claude"),), (SyncedFile(".gitconfig", "x"),)
    program = Program(("claude", "hi"), str(shared), agent=CLAUDE)
    text = build_script(sharing(shared, links=links, files=files), program, PIPED)
    assert guest.run(text).returncode == 0
    for tool in ("ln", "mv", "cp", "date", "chmod", "rmdir"):
        guest.stub(tool, f"echo {tool} was started >&2")
    done = guest.run(text)
    assert (done.stdout, done.stderr) == (b"claude ran: hi\n", b"")


@pytest.mark.parametrize("shell", FOUND)
def test_how_far_npm_is_fills_no_log(tmp_path: Path, shell: str) -> None:
    """Where nobody looks, it is said at every tenth look."""
    (tmp_path / "mark").touch()
    stubs = "looks=0\nsleep() { looks=$((looks + 1)); [ $looks -lt 35 ]; }\ndu() { printf '12\\ttotal\\n'; }\n"
    script = f"{INSTALL}\n{stubs}npm=/nowhere\nmeasure '{tmp_path}/mark'\n"
    words = [*FOUND[shell], "-c", script]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == ["agentvm: 12 MB so far"] * 3
