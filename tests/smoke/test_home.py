"""The agent is at home: what of its user's is in a guest, on real Lima, by agentvm's command line alone.

One project of a user who has everything (see resident.py), in one VM, which is removed in the end. Two boots: the base
gets the agents first.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sqlite3
import stat
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from tests.agents import test_claude, test_codex, test_opencode
from tests.smoke.computer import Computer, Done, program
from tests.smoke.resident import Resident
from tests.smoke.services import GATEWAY, make_authority, service
from tests.smoke.terminal import Screen, screen, terminal

AGENTS = ("claude", "codex", "opencode")
SCREENS = {"claude": test_claude.SCREENS, "codex": test_codex.SCREENS, "opencode": test_opencode.SCREENS}
KEPT_SCREENS = "AGENTVM_SMOKE_SCREENS"
"""Names a directory for what the agents painted, for a person to look at."""


@pytest.fixture(scope="module")
def agents(computer: Computer, own_base: str) -> None:
    """Projects are cloned with the agents from now on."""
    computer.ok(computer.directory, "update", "--base", *AGENTS)
    computer.ok(computer.directory, "base", "snapshot")


@pytest.fixture(scope="module")
def resident(computer: Computer, agents: None) -> Iterator[Resident]:
    """With her project's VM, which runs."""
    resident = Resident(computer)
    try:
        ask(resident, "shell", "--", "true")
        yield resident
    finally:
        resident.computer.run(resident.project, "rm", "--force")


def keep_screen(name: str, shown: Screen) -> None:
    if directory := os.environ.get(KEPT_SCREENS):
        Path(directory).mkdir(parents=True, exist_ok=True)
        Path(directory, f"{name}.txt").write_text(shown.show() + "\n")


def start(resident: Resident, *words: str, **variables: str) -> AbstractContextManager[Screen]:
    """agentvm in a terminal in the project."""
    return screen([*program(), *words], resident.project, resident.computer.environment | variables)


def ask(resident: Resident, *words: str, **variables: str) -> Done:
    """agentvm in the project, where it must succeed."""
    return resident.computer.ok(resident.project, *words, stdin=b"", **variables)


# --- Logins ------------------------------------------------------------------------------------------------------------


def test_the_base_brings_the_agents(resident: Resident) -> None:
    versions = resident.computer.status(resident.project)["agents"]
    assert sorted(versions) == sorted(AGENTS)
    assert all(re.search(r"\d+\.\d+\.\d+", version) for version in versions.values()), versions


ABOUT_TEMPORARY_HOMES = "WARNING: proceeding, even though we could not create PATH aliases"
"""Codex says it where its home is below /tmp, as the host's is here and the guest's is not."""


@pytest.mark.parametrize("command", ["claude auth status", "codex login status", "opencode auth list"])
def test_a_login_is_the_hosts(resident: Resident, command: str) -> None:
    compare(resident, command.split())


def test_ghs_login_is_the_hosts(resident: Resident) -> None:
    """It can't be checked without the network, and gh says so: of this login, on both sides."""
    words = ["gh", "auth", "status"]
    if shutil.which("gh", path=resident.computer.environment["PATH"]):
        compare(resident, words)
    there = resident.computer.run(resident.project, *words)
    assert "github.com" in there.err + there.out.decode()
    assert "not logged into any" not in there.err


def test_the_configuration_of_an_older_gh_is_not_what_the_guest_has_to_rewrite(resident: Resident) -> None:
    """A newer gh would, and fail, since it can only read the host's."""
    settings = resident.home / ".config/gh/config.yml"
    newest = settings.read_text()
    settings.write_text("editor: nano\n")
    try:
        script = 'cat "$GH_CONFIG_DIR/config.yml" && gh config get editor && gh auth token --hostname github.com'
        said = ask(resident, "shell", "--", "sh", "-c", script).out.decode().splitlines()
    finally:
        settings.write_text(newest)
    assert said[:3] == ["editor: nano", 'version: "1"', "nano"]
    assert said[3].startswith("gho_")


def compare(resident: Resident, words: list[str]) -> None:
    here = resident.computer.host(resident.project, *words)
    there = resident.computer.run(resident.project, *words)
    assert (there.status, plain(resident, there.out)) == (here.status, plain(resident, here.out))
    own = "".join(line for line in there.err.splitlines(keepends=True) if not line.startswith("agentvm: "))
    assert plain(resident, own.encode()) == plain(resident, here.err.encode())


def plain(resident: Resident, said: bytes) -> str:
    """Without colours, and with the same name for both homes."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said.decode())
    text = "".join(line for line in text.splitlines(keepends=True) if not line.startswith(ABOUT_TEMPORARY_HOMES))
    homes = (str(resident.home), r"/home/[^/\s]+")
    return re.sub("|".join(homes), "~", text).replace("\r", "")


# --- Dialogs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("agent", "trusted", "yolo", "shows"),
    [
        ("claude", True, "0", "prompt"),
        ("codex", True, "0", "prompt"),
        ("opencode", True, "0", "prompt"),
        ("claude", False, "1", "prompt, bypassing"),
        ("codex", False, "1", "prompt, bypassing"),
        ("opencode", False, "1", "prompt"),
        ("claude", False, "0", "trust"),
        ("codex", False, "0", "trust"),
    ],
)
def test_an_agent_asks_what_nobody_answered_and_no_more(
    resident: Resident, agent: str, trusted: bool, yolo: str, shows: str
) -> None:
    resident.trust(trusted)
    before = databases(resident.home)
    with start(resident, agent, AGENTVM_YOLO=yolo) as shown:
        try:
            assert shown.await_one(SCREENS[agent]) == shows, shown.show()
        finally:
            keep_screen(f"{agent}-{'trusted' if trusted else 'untrusted'}{'-yolo' * int(yolo)}", shown)
    assert databases(resident.home) == before, "the guest writes none of the host's"
    resident.trust(True)


def databases(place: Path) -> dict[Path, bytes]:
    found = [path for pattern in ("*.sqlite", "*.db") for path in place.rglob(pattern)]
    return {path: path.read_bytes() for path in found}


# --- Terminal and language ---------------------------------------------------------------------------------------------

LOOK = r"""
trap 'echo "now $(stty size)"' WINCH
trap 'exit 0' INT
echo "first $(stty size), $(tput cols) columns, $(tput colors) colours, $(locale charmap), $(date +%Z)"
printf '\033]52;c;aGVsbG8=\007\033[38;2;1;2;3mcolour\033[0m\n'
while :; do sleep 0.2; done"""


def test_the_terminal_is_the_hosts(resident: Resident) -> None:
    german = {"TERM": "xterm-nobodys", "LANG": "de_DE.UTF-8", "TZ": "Asia/Tokyo", "COLORTERM": "truecolor"}
    words = [*program(), "shell", "--", "sh", "-c", LOOK]
    with terminal(words, resident.project, resident.computer.environment | german) as user:
        user.expect(b"first ")
        assert user.expect(b"\r\n") == b"37 113, 113 columns, 256 colours, UTF-8, JST"
        assert user.expect(b"\r\n") == b"\033]52;c;aGVsbG8=\007\033[38;2;1;2;3mcolour\033[0m"
        user.resize(20, 70)
        user.expect(b"now 20 70\r\n")
        user.type(b"\x03")
        user.rest()
        assert user.wait() == 0


def test_a_macs_language_is_utf_8(resident: Resident) -> None:
    script = "locale charmap; perl -e 1; bash -c true"
    done = ask(resident, "shell", "--", "sh", "-c", script, LANG="", LC_CTYPE="UTF-8")
    assert done.out == b"UTF-8\n"
    assert "locale" not in done.err


def test_a_login_shell_finds_our_codex(resident: Resident) -> None:
    with terminal([*program(), "shell"], resident.project, resident.computer.environment) as user:
        user.type(b"echo it is-$(command -v codex)-\r")
        assert user.expect(b"/.local/share/agentvm/bin/codex-\r\n")
        user.type(b"exit 0\r")
        user.rest()
        assert user.wait() == 0


# --- git, gh and ssh ---------------------------------------------------------------------------------------------------

COMMIT = """
git commit -q --allow-empty -m inside
git log -1 --format='%an %ae %cn %ce'
printf 'protocol=https\\nhost=github.com\\n\\n' | git credential fill
gh auth token 2>/dev/null || gh auth status -t 2>&1 | sed -n 's/.*Token: //p'
git log --oneline | cat >/dev/null
ssh-add -l 2>&1 || true
"""


def test_git_commits_in_a_linked_work_tree_as_on_the_host(resident: Resident) -> None:
    before = (resident.home / ".gitconfig").read_bytes()
    done = ask(resident, "shell", "--", "sh", "-ec", COMMIT)
    lines = done.out.decode().splitlines()
    assert lines[0] == "Resident resident@work.example Resident resident@work.example"
    assert f"password={resident.secret('gho_')}" in lines
    assert lines[-1].startswith("Could not open a connection"), lines
    (told,) = done.err.splitlines()
    assert "not signed" in told
    assert "AGENTVM_SSH_AGENT=1" in told
    assert (resident.home / ".gitconfig").read_bytes() == before
    assert resident.computer.host(resident.project, "git", "status", "--porcelain") == (0, b"", "")
    assert resident.computer.host(resident.project, "git", "log", "-1", "--format=%s").out == b"inside\n"


SIGN = """
ssh-add -L
git commit -q --allow-empty -m signed
"""


def test_the_ssh_agent_signs_and_its_key_stays_outside(resident: Resident) -> None:
    with resident.ssh_agent() as socket:
        asked = {"AGENTVM_SSH_AGENT": "1", "SSH_AUTH_SOCK": socket}
        done = ask(resident, "shell", "--", "sh", "-ec", SIGN, **asked)
        assert done.out.decode().split()[:2] == resident.public_key.split()
        assert done.err == ""
        # The next session shares the connection, and has no agent all the same.
        script = 'echo "${SSH_AUTH_SOCK-none}"; ssh-add -l 2>&1 || true'
        said = resident.computer.shell(resident.project, script, SSH_AUTH_SOCK=socket)
        assert said.splitlines()[0] == "none"
        assert "ED25519" not in said
    allowed = resident.write("allowed", f"resident@work.example {resident.public_key}\n")
    options = ("-c", f"gpg.ssh.allowedSignersFile={allowed}", "-c", "gpg.ssh.program=ssh-keygen")
    verified = resident.computer.host(resident.project, "git", *options, "verify-commit", "HEAD")
    assert verified.status == 0, verified
    assert 'Good "git" signature for resident@work.example' in verified.err


# --- Network -----------------------------------------------------------------------------------------------------------


def test_services_of_the_hosts_localhost_are_reached(resident: Resident) -> None:
    with service() as web:
        address = f"http://localhost:{web.port}"
        done = resident.computer.run(
            resident.project,
            "claude",
            "-p",
            "hi",
            ANTHROPIC_BASE_URL=address,
            ANTHROPIC_API_KEY=resident.secret("sk-ant-api03-"),
        )
        assert b"not today" in done.out, done
        assert any(line.startswith("POST /v1/messages") for line in web.asked), web.asked
        proxied = resident.computer.shell(resident.project, "curl -sS http://nowhere.example/page", http_proxy=address)
        assert proxied == "here"
        assert "GET http://nowhere.example/page" in web.asked


def test_the_browsers_answer_reaches_a_login_in_the_vm(resident: Resident) -> None:
    """Codex's own server answers, in the VM: it knows nothing of the state that this browser brings.

    Then this login is given up, and the one that codex deleted for it is there again.
    """
    login = resident.home / ".codex/auth.json"
    before = login.read_bytes()
    address = "http://127.0.0.1:1455/auth/callback?code=none&state=none"
    with start(resident, "login", "codex") as shown:
        deadline = time.monotonic() + 300
        while "State mismatch" not in (answer := fetch(address)):
            assert time.monotonic() < deadline, f"{answer!r}\n{shown.show()}"
            time.sleep(1)
        shown.type("C-c")
        shown.await_end()
    assert login.read_bytes() == before


def fetch(address: str) -> str:
    try:
        with urllib.request.urlopen(address, timeout=5) as reply:
            return str(reply.read(1000).decode())
    except urllib.error.HTTPError as problem:
        return problem.read(1000).decode()
    except OSError as problem:
        return str(problem)


FETCH = f"""
curl -sS https://{GATEWAY}:$1/ || echo "curl $?"
echo
node -e 'fetch("https://{GATEWAY}:'$1'/").then(a => a.text()).then(console.log, () => console.log("refused"))'"""


def test_a_private_authority_is_trusted_as_long_as_the_host_names_it(resident: Resident, tmp_path: Path) -> None:
    authority, certificate = make_authority(tmp_path)
    named = {"CURL_CA_BUNDLE": str(authority), "NODE_EXTRA_CA_CERTS": str(authority)}
    with service(certificate) as web:
        words = ("shell", "--", "sh", "-c", FETCH, "sh", str(web.port))
        first = ask(resident, *words, **named)
        assert first.out.split() == [b"here", b"here"], first
        assert "giving this VM the certificates" in first.err
        assert spied(resident, *words, **named) == (b"here\nhere\n", ["ssh"])
        after = ask(resident, *words)
        assert after.out.split() == [b"curl", b"60", b"refused"], after


def spied(resident: Resident, *words: str, **variables: str) -> tuple[bytes, list[str]]:
    """What agentvm's program says, and which of ssh and limactl agentvm started for that."""
    with ExitStack() as stack:
        directory = resident.computer.directory / "spies"
        directory.mkdir()
        stack.callback(shutil.rmtree, directory)
        log = directory / "log"
        for name in ("ssh", "limactl"):
            spy = directory / name
            spy.write_text(f'#!/bin/sh\necho {name} >>{shlex.quote(str(log))}\nexec {shutil.which(name)} "$@"\n')
            spy.chmod(0o755)
        spies = {
            "PATH": f"{directory}:{resident.computer.environment['PATH']}",
            "AGENTVM_LIMACTL": str(directory / "limactl"),
        }
        done = ask(resident, *words, **variables, **spies)
        return done.out, log.read_text().split()


def test_a_warm_run_with_all_of_it_is_one_ssh_and_no_limactl(resident: Resident) -> None:
    said, started = spied(resident, "claude", "--version")
    assert re.search(rb"\d+\.\d+\.\d+", said)
    assert started == ["ssh"]


# --- Databases and daemons ---------------------------------------------------------------------------------------------

OPEN_DATABASES = r"""
sudo find /proc/[0-9]*/fd -type l -printf '%l\n' 2>/dev/null | grep -E '\.(sqlite|db)(-wal|-shm)?$' | sort -u"""


@pytest.mark.parametrize(("agent", "directory"), [("codex", ".codex"), ("opencode", ".local/share/opencode")])
def test_an_agent_here_and_one_there_share_no_database(resident: Resident, agent: str, directory: str) -> None:
    own = ("codex", "--no-daemon") if agent == "codex" else (agent,)
    with screen(own, resident.project, resident.computer.environment) as here, start(resident, agent) as there:
        for shown in (here, there):
            assert shown.await_one(SCREENS[agent]) == "prompt", shown.show()
        for number in range(2):
            for shown in (here, there):
                shown.type(f"question {number}", "Enter")
        for shown in (here, there):
            shown.await_one({"asked": "question 1"})
        opened = resident.computer.shell(resident.project, OPEN_DATABASES).splitlines()
        assert opened, "the guest's has databases of its own"
        assert not [path for path in opened if path.startswith(str(resident.home))], opened
    shared = resident.home / directory
    found = databases(shared)
    assert found
    assert {path: integrity(path) for path in found} == dict.fromkeys(found, "ok")
    assert not [path for path in shared.rglob("*") if path.is_socket() or path.suffix == ".pid"]
    assert not (shared / "packages/app-server-daemon").exists()


def integrity(path: Path) -> str:
    connection = sqlite3.connect(path)
    try:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])
    finally:
        connection.close()


# --- Of the user's own -------------------------------------------------------------------------------------------------

OWN = """
cat ~resident/data/file ~resident/notes/file
! echo x 2>/dev/null >~resident/data/other || exit 1
echo guest >~resident/notes/other
echo "$OWN_VARIABLE ${OTHERS-none}"
xdg-open 'https://example.org/a?b=c&d'
"""


def test_directories_and_variables_of_the_users_own(resident: Resident) -> None:
    script = OWN.replace("~resident", shlex.quote(str(resident.home)))
    variables = {"OWN_VARIABLE": "it's hers", "OTHERS": "x"}
    done = ask(resident, "shell", "--", "sh", "-ec", script, **variables)
    assert done.out.decode().splitlines() == ["data", "notes", "it's hers none"]
    assert "open this in your browser: https://example.org/a?b=c&d" in done.err
    assert (resident.home / "notes/other").read_text() == "guest\n"
    assert not (resident.home / "data/other").exists()


# --- Secrets -----------------------------------------------------------------------------------------------------------

# Files that were written since this VM was cloned, on its own disks.
FIND_SECRETS = """
read -r mark
read -r key
sudo find / /run /tmp /dev/shm -xdev -type f -newermt @$1 -size -100M -print0 2>/dev/null |
    sudo xargs -0 grep -lsF -e "$mark" -e "$key" | sort -u >/tmp/holders
while read -r file; do
    ! sudo -u nobody test -r "$file" || echo "everybody reads $file"
    echo "$file"
done </tmp/holders
rm /tmp/holders"""


def test_no_secret_is_where_others_see_it(resident: Resident) -> None:
    machine = resident.computer
    since = int((machine.lima_home / instance(resident) / "lima.yaml").stat().st_ctime)
    passed = {
        "ANTHROPIC_AUTH_TOKEN": resident.secret("t-"),
        "GH_TOKEN": resident.secret("p-"),
        "OWN_TOKEN": resident.secret("m-"),
    }
    with start(resident, "claude", **passed) as shown:
        assert shown.await_one(SCREENS["claude"])
        for seen in (
            machine.host(resident.home, "ps", "-A", "-ww", "-o", "args").out.decode(),
            machine.shell(resident.project, "ps -A -ww -o args", **passed),
        ):
            assert "claude" in seen
            assert resident.mark not in seen
        words = ("shell", "--", "sh", "-c", FIND_SECRETS, "sh", str(since))
        patterns = f"{resident.mark}\n{resident.private_key}\n".encode()
        found = machine.ok(resident.project, *words, stdin=patterns).out.decode().splitlines()
    assert any(line.endswith("/.git-credentials") for line in found), "the search finds what is there"
    assert not [line for line in found if line.startswith("everybody")]


def instance(resident: Resident) -> str:
    return str(resident.computer.status(resident.project)["instance"])


def test_no_secret_is_in_a_file_of_agentvms(resident: Resident) -> None:
    machine = resident.computer
    places = (machine.directory / "state", machine.lima_home / instance(resident))
    known = {".claude/.credentials.json", ".codex/auth.json", ".config/gh/hosts.yml", ".git-credentials"}
    known |= {".local/share/opencode/auth.json", ".local/share/agentvm/opencode/auth.json"}
    assert holders(places, resident.mark) == []
    assert {str(path.relative_to(resident.home)) for path in holders((resident.home,), resident.mark)} == known


def holders(places: tuple[Path, ...], mark: str) -> list[Path]:
    """The files with the mark in them, but not disks."""
    files = [Path(top, name) for place in places for top, _, names in os.walk(place) for name in names]
    return [path for path in files if mark.encode() in content(path)]


def content(path: Path) -> bytes:
    """What is in a file that is no disk; nothing when a program that still ends has just removed it."""
    try:
        information = path.lstat()
        small = stat.S_ISREG(information.st_mode) and information.st_size < 50_000_000
        return path.read_bytes() if small else b""
    except FileNotFoundError:
        return b""


# --- Updates -----------------------------------------------------------------------------------------------------------


def test_a_missing_agent_is_installed_and_an_update_leaves_it_working(resident: Resident) -> None:
    resident.computer.shell(
        resident.project, "rm -r ~/.local/share/agentvm/npm/bin/claude ~/.local/state/agentvm/proved/claude"
    )
    assert "claude" not in resident.computer.status(resident.project)["agents"]
    first = ask(resident, "claude", "--version")
    assert "installing @anthropic-ai/claude-code with npm" in first.err
    done = ask(resident, "update", "claude")
    assert done.out.startswith(b"claude is at ")
    version = ask(resident, "claude", "--version").out.decode().strip()
    assert resident.computer.status(resident.project)["agents"]["claude"] == version
