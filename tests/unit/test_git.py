"""git in a guest: real git, with a home for the host and one for the guest, and the exports run by a real sh."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentvm.git import Configuration, Git, ask_git, plan_git, read_git
from agentvm.gitconfig import Entry, make_section, parse_entries
from agentvm.model import Host

SHELLS = {"dash": (), "bash": ("--posix",), "busybox": ("sh",)}
FOUND = {name: (path, *words) for name, words in SHELLS.items() if (path := shutil.which(name))}
SAY = """say() { printf 'agentvm: %s\\n' "$1" >&2; }"""
GUEST_PROGRAMS = "basename cat diff dirname env git less rm sed sh ssh-add ssh-keygen touch vi".split()


class Machines(NamedTuple):
    """The host's home, the guest's, a project that both see at the same place, and the guest's PATH."""

    host: Host
    guest: Path
    project: Path
    programs: Path

    def write(self, path: str, content: str) -> Path:
        file = Path(self.host.home) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        return file

    def on_host(self, *words: str) -> str:
        done = subprocess.run(words, cwd=self.project, env=self.host.environment, capture_output=True, check=True)
        return done.stdout.decode()

    def configuration(self) -> Configuration:
        return read_git(ask_git(self.host, str(self.project)))

    def plan(self, copied: bool = True, agent: bool = False, keys: bool = False, **changes: object) -> Git:
        """Decide it, and give the guest its copies."""
        hosts = changes.get("github_hosts", ())
        assert isinstance(hosts, tuple)
        credentials = (Path(self.host.home) / ".git-credentials").exists()
        plan = plan_git(
            self.host,
            self.configuration(),
            copied=copied,
            credentials=credentials,
            github_hosts=hosts,
            agent=agent,
            keys=keys,
        )
        for name in (".gitconfig", ".git-credentials")[0 if copied else 1 :]:
            file = Path(self.host.home) / name
            if file.exists() and plan.usable:
                text = file.read_text() + (plan.section if name == ".gitconfig" else "")
                (self.guest / name).write_text(text)
            elif plan.section and plan.usable and name == ".gitconfig":
                (self.guest / name).write_text(plan.section)
        return plan

    def run(
        self,
        plan: Git,
        command: str,
        shell: tuple[str, ...] = ("sh",),
        typed: str = "",
        environment: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """One line of sh in the guest, behind the exports; both streams together."""
        script = "\n".join((SAY, plan.contribution.functions, *plan.contribution.lines, command))
        return subprocess.run(
            [*shell, "-c", script],
            cwd=self.project,
            env={"HOME": str(self.guest), "PATH": str(self.programs), "GIT_CONFIG_NOSYSTEM": "1"} | (environment or {}),
            input=typed,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=20,
            check=False,
        )

    def in_guest(self, plan: Git, command: str, **environment: str) -> str:
        """What a command says in the guest, where it has to work."""
        done = self.run(plan, command, environment=environment)
        assert done.returncode == 0, done.stdout
        return done.stdout.strip()


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A guest's PATH: nothing is there that these tests do not name."""
    directory = tmp_path_factory.mktemp("guest") / "programs"
    directory.mkdir()
    for name in GUEST_PROGRAMS:
        (directory / name).symlink_to(shutil.which(name if name != "vi" else "true") or "")
    return directory


@pytest.fixture
def machines(host: Host, home: Path, programs: Path) -> Machines:
    guest = home.parent / "guest"
    project = home / "work" / "project"
    guest.mkdir()
    project.mkdir(parents=True)
    system = home.parent / "system"
    system.touch()
    found = host._replace(environment=host.environment | {"GIT_CONFIG_SYSTEM": str(system), "LC_ALL": "C"})
    subprocess.run(["git", "init", "-q", "-b", "main", str(project)], check=True, env=found.environment)
    return Machines(found, guest, project, programs)


IDENTITY = "[user]\n\tname = Ann\n\temail = ann@home.example\n"
COMMIT = "git commit -q --allow-empty -m text && git log -1 --format='%an %ae'"
FILL = "GIT_TERMINAL_PROMPT=0 git credential fill"


# --- What git says -----------------------------------------------------------------------------------------------------


def test_every_form_of_a_setting_is_read(machines: Machines) -> None:
    machines.write(".gitconfig", '[a]\n\tflag\n\tempty =\n\tlines = "1\\n2"\n[B "Sub.X \\"q\\""]\n\tKey = v\n')
    entries = machines.configuration().entries
    own = f"file:{machines.host.home}/.gitconfig"
    assert entries[:4] == (
        Entry("global", own, "a.flag", None),
        Entry("global", own, "a.empty", ""),
        Entry("global", own, "a.lines", "1\n2"),
        Entry("global", own, 'b.Sub.X "q".key', "v"),
    )
    assert {entry.scope for entry in entries[4:]} == {"local"}


@pytest.mark.parametrize("data", [b"", b"global", b"global\0file:x\0", b"\0\0\0", b"\xff\0\xff\0\xff\n\xff\0"])
def test_any_bytes_are_read_without_an_error(data: bytes) -> None:
    parse_entries(data)


def with_path(machines: Machines, path: str) -> Machines:
    return machines._replace(host=machines.host._replace(environment=machines.host.environment | {"PATH": path}))


def test_a_host_without_git_has_no_configuration(machines: Machines) -> None:
    assert ask_git(with_path(machines, str(machines.guest)).host, str(machines.project)) is None
    assert read_git(None) == Configuration()


def test_a_malformed_gitconfig_gets_one_notice_that_names_it(machines: Machines) -> None:
    file = machines.write(".gitconfig", "[user\n\tname = \x1b[31mAnn\n")
    plan = machines.plan()
    assert not plan.usable
    assert plan.section == ""
    (notice,) = plan.contribution.notices
    assert str(file) in notice
    assert notice.isprintable()
    # The copy is not made, so git works.
    assert machines.in_guest(plan, "git status --short") == ""


def test_a_configuration_that_never_ends_does_not_hold_the_session_up(machines: Machines) -> None:
    """The guest can write .git/config, and let it include a pipe of its own."""
    os.mkfifo(machines.project / "pipe")
    machines.on_host("git", "config", "include.path", str(machines.project / "pipe"))
    start = time.monotonic()
    configuration = machines.configuration()
    assert time.monotonic() - start < 6
    assert configuration.usable
    assert "did not end in 3 seconds" in configuration.notice


def test_a_huge_configuration_is_not_read(machines: Machines) -> None:
    with (machines.project / ".git" / "config").open("a") as file:
        file.write("[a]\n" + "x = y\n" * 40_000)
    configuration = machines.configuration()
    assert configuration.entries == ()
    assert "more than 1 MB" in configuration.notice


def test_a_git_without_these_options_leaves_the_copy_of_gitconfig_alone(machines: Machines) -> None:
    program = machines.write("old/git", "#!/bin/sh\necho 'error: unknown option show-scope' >&2; exit 129\n")
    program.chmod(0o755)
    configuration = with_path(machines, f"{program.parent}:/bin:/usr/bin").configuration()
    assert configuration.usable
    assert "unknown option show-scope" in configuration.notice


# --- The section -------------------------------------------------------------------------------------------------------

IDENTITIES = {
    "its own file": ({".gitconfig": IDENTITY}, "Ann ann@home.example"),
    "an include of dotfiles": (
        {".gitconfig": "[include]\n\tpath = ~/dotfiles/git\n", "dotfiles/git": IDENTITY},
        "Ann ann@home.example",
    ),
    "includeIf by directory": (
        {
            ".gitconfig": IDENTITY + '[includeIf "gitdir:~/work/"]\n\tpath = work.inc\n',
            "work.inc": "[user]\n\temail = ann@work.example\n",
        },
        "Ann ann@work.example",
    ),
    "an includeIf that is overridden below": (
        {
            ".gitconfig": '[includeIf "gitdir:~/work/"]\n\tpath = work.inc\n' + IDENTITY,
            "work.inc": "[user]\n\temail = ann@work.example\n",
        },
        "Ann ann@home.example",
    ),
    "an includeIf for elsewhere": (
        {
            ".gitconfig": IDENTITY + '[includeIf "gitdir:~/other/"]\n\tpath = work.inc\n',
            "work.inc": "[user]\n\temail = ann@work.example\n",
        },
        "Ann ann@home.example",
    ),
    "XDG alone": ({".config/git/config": IDENTITY}, "Ann ann@home.example"),
    "XDG below": (
        {".gitconfig": "[user]\n\temail = b@b\n", ".config/git/config": IDENTITY},
        "Ann b@b",
    ),
    "the system's": ({"../system": IDENTITY}, "Ann ann@home.example"),
    "a last line that goes on": (
        {".gitconfig": "[include]\n\tpath = more\n[a]\n\tb = c \\", "more": IDENTITY},
        "Ann ann@home.example",
    ),
    "no newline at the end": (
        {".gitconfig": "[include]\n\tpath = more\n[a]\n\tb = c ; d", "more": IDENTITY},
        "Ann ann@home.example",
    ),
}


@pytest.mark.parametrize("name", IDENTITIES)
def test_a_commit_has_the_identity_that_the_host_has_there(machines: Machines, name: str) -> None:
    files, expected = IDENTITIES[name]
    for path, content in files.items():
        machines.write(path, content)
    assert machines.on_host("sh", "-c", COMMIT).strip() == expected
    plan = machines.plan()
    assert machines.in_guest(plan, COMMIT) == expected
    assert plan.contribution.notices == ()


def test_settings_that_the_host_got_by_variables_arrive(machines: Machines) -> None:
    given = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "user.email", "GIT_CONFIG_VALUE_0": "ann@variable"}
    machines.host.environment.update(given)
    machines.write(".gitconfig", IDENTITY)
    assert machines.in_guest(machines.plan(), "git config user.email") == "ann@variable"


def test_a_repository_with_an_identity_of_its_own_keeps_it(machines: Machines) -> None:
    machines.write(".config/git/config", IDENTITY)
    plan = machines.plan()
    machines.on_host("git", "config", "user.email", "test@suite")
    assert machines.in_guest(plan, COMMIT) == "Ann test@suite"


def test_a_linked_work_tree_commits(machines: Machines) -> None:
    machines.write(".gitconfig", IDENTITY + '[includeIf "gitdir:~/work/"]\n\tpath = work.inc\n')
    machines.write("work.inc", "[user]\n\temail = ann@work.example\n")
    machines.on_host("git", "commit", "-q", "--allow-empty", "-m", "first")
    linked = Path(machines.host.home) / "elsewhere"
    machines.on_host("git", "worktree", "add", "-q", str(linked))
    there = machines._replace(project=linked)
    assert there.in_guest(there.plan(), COMMIT) == "Ann ann@work.example"


def test_a_repository_of_another_user_is_taken(machines: Machines) -> None:
    machines.write(".gitconfig", IDENTITY)
    plan = machines.plan()
    # git's own way to behave as if the owner were another.
    foreign = {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}
    before = machines.run(Git("", True, plan.contribution._replace(lines=())), "git status", environment=foreign)
    assert "dubious ownership" in before.stdout
    assert machines.in_guest(plan, COMMIT, **foreign) == "Ann ann@home.example"


STAYS = {
    "core.editor": "vim",
    "core.hooksPath": "hooks",
    "core.askPass": "ask",
    "core.worktree": "x",
    "credential.username": "ann",
    "credential.https://x.example.helper": "osxkeychain",
    "filter.lfs.clean": "git-lfs clean",
    "diff.pdf.textconv": "pdftotext",
    "diff.x.command": "x",
    "diff.external": "difft",
    "difftool.x.cmd": "x",
    "mergetool.x.path": "x",
    "merge.x.driver": "x",
    "pager.log": "delta",
    "gpg.program": "gpg",
    "gpg.ssh.program": "op-ssh-sign",
    "alias.x": "!echo",
    "url.https://ann:pw@x.example/.insteadOf": "x:",
    "url.https://token@x.example/.insteadOf": "y:",
    "remote.x.url": "ssh://ann:pw@x.example/",
    "http.proxy": "http://ann:pw@proxy.example:80",
    "http.extraHeader": "Authorization: x",
    "http.https://x.example.extraHeader": "Authorization: x",
    "http.cookieFile": "cookies",
    "http.sslCAInfo": "/etc/company.pem",
    "sendemail.smtpPass": "x",
    "github.token": "x",
    "safe.directory": "/x",
    "gpg.ssh.allowedSignersFile": "~/.ssh/signers",
    "commit.template": "~/template",
    "include.path": "more",
}
ARRIVES = {
    "user.name": "Ann",
    "user.signingKey": "~/.ssh/id.pub",
    "init.defaultBranch": "trunk",
    "pull.rebase": "true",
    "alias.st": "status -s",
    "url.git@github.com:.insteadOf": "https://github.com/",
    "url.ssh://git@x.example/.insteadOf": "x:",
    "push.autoSetupRemote": "true",
    "http.proxy": "http://proxy.example:80",
    "core.autocrlf": "input",
    "gpg.format": "ssh",
    "diff.algorithm": "histogram",
}


def section_of(machines: Machines, key: str, value: str) -> str:
    machines.on_host("git", "config", "--file", str(machines.write(".config/git/config", "")), key, value)
    return machines.plan().section


@pytest.mark.parametrize("key", STAYS)
def test_what_names_a_program_a_file_or_a_secret_of_the_host_stays_there(machines: Machines, key: str) -> None:
    assert section_of(machines, key, STAYS[key]) == ""


@pytest.mark.parametrize("key", ARRIVES)
def test_other_settings_arrive(machines: Machines, key: str) -> None:
    section_of(machines, key, ARRIVES[key])
    assert machines.in_guest(machines.plan(), f"git config --global --get {shlex.quote(key)}") == ARRIVES[key]


def test_what_is_in_the_copy_is_not_sent_twice(machines: Machines) -> None:
    machines.write(".gitconfig", IDENTITY + '[pull]\n\trebase = true\n[url "git@x.example:"]\n\tinsteadOf = x:\n')
    assert machines.plan().section == ""


def test_every_value_of_a_setting_that_has_several_arrives(machines: Machines) -> None:
    machines.write(".config/git/config", '[url "git@x.example:"]\n\tinsteadOf = x:\n\tinsteadOf = y:\n')
    plan = machines.plan()
    for short in ("x:", "y:"):
        assert machines.in_guest(plan, f"git ls-remote --get-url {short}a") == "git@x.example:a"


def test_what_the_project_s_configuration_names_is_never_copied(machines: Machines) -> None:
    """The guest writes that file. What it includes would be a file of the host's, and its settings would arrive."""
    leak = machines.write("private", "[user]\n\tname = leaked\n[other]\n\tkey = leaked\n")
    machines.write(".gitconfig", IDENTITY)
    machines.on_host("git", "config", "include.path", str(leak))
    machines.on_host("git", "config", "extensions.worktreeConfig", "true")
    machines.on_host("git", "config", "--worktree", "include.path", str(leak))
    assert "leaked" in machines.on_host("git", "config", "--list", "--includes")
    plan = machines.plan(github_hosts=("github.com",), agent=True)
    assert "leaked" not in repr(plan)
    assert str(leak) not in repr(plan)


def test_too_many_settings_are_left_out_and_the_identity_is_not(machines: Machines) -> None:
    many = "".join(f"\tkey{number} = {'x' * 100}\n" for number in range(300))
    machines.write(".config/git/config", f"[a]\n{many}{IDENTITY}")
    plan = machines.plan()
    assert len(plan.section) < 21_000
    assert machines.in_guest(plan, "git config user.name") == "Ann"
    (notice,) = plan.contribution.notices
    assert "of git's settings from files beside ~/.gitconfig are not in the VM" in notice


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30) | st.text(
    "\\\"'#; \t\n\r\bnt=[]$`éa", max_size=12
)


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("section") / "config"


@settings(max_examples=150, deadline=None)
@given(values=st.lists(st.none() | TEXT, min_size=1, max_size=8), subsection=TEXT)
def test_any_value_and_any_subsection_survives(scratch: Path, values: list[str | None], subsection: str) -> None:
    name = subsection.replace("\n", "")
    # A letter in front: values that look like paths or logins stay on the host.
    entries = tuple(
        Entry("global", "file:/x", f"a.{name}.k{number}", value if value is None else "v" + value)
        for number, value in enumerate(values)
    )
    kept = [entry for entry in entries if "://" not in f"{entry.key}{entry.value}"]
    scratch.write_bytes(b"[x]\n\ty = z\\" + make_section(tuple(kept), "/y").text.encode())
    done = subprocess.run(
        ["git", "config", "--file", str(scratch), "--list", "-z", "--show-origin", "--show-scope"],
        capture_output=True,
        check=True,
    )
    read = {entry.key: entry.value for entry in parse_entries(done.stdout)}
    assert read == {"x.y": "z"} | {entry.key: entry.value for entry in kept}


# --- Exports -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", FOUND)
def test_overrides_come_behind_those_that_the_guest_has(machines: Machines, shell: str) -> None:
    machines.write(".gitconfig", "[core]\n\tfsmonitor = true\n\tpager = delta --dark\n\teditor = code --wait\n")
    given = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "a.b", "GIT_CONFIG_VALUE_0": "c"}
    command = 'git config --show-scope --get-regexp "safe|a.b|core.(fsm|pag|edi)"; git var GIT_EDITOR'
    done = machines.run(machines.plan(), command, FOUND[shell], environment={"VISUAL": "gone", **given})
    assert done.returncode == 0
    assert [line.partition("\t")[2] for line in done.stdout.splitlines() if line.startswith("command")] == [
        "a.b c",
        "safe.directory *",
        "core.fsmonitor false",
        "core.pager less",
        "core.editor vi",
    ]
    assert done.stdout.splitlines()[-1] == "vi"


def test_a_plain_host_costs_one_override(machines: Machines) -> None:
    machines.write(".gitconfig", IDENTITY)
    plan = machines.plan(github_hosts=("github.com",))
    assert plan.contribution.lines == ("git_override 'safe.directory' '*'",)
    assert len(plan.contribution.functions) < 200


@pytest.mark.parametrize("value", ["", " = true", " = .git/hooks/watcher"])
@pytest.mark.parametrize("file", [".gitconfig", "work/project/.git/config"])
def test_the_watcher_of_the_host_is_off(machines: Machines, value: str, file: str) -> None:
    path = Path(machines.host.home) / file
    machines.write(file, (path.read_text() if path.exists() else "") + f"[core]\n\tfsmonitor{value}\n")
    assert machines.in_guest(machines.plan(), "git config core.fsmonitor") == "false"


# --- Credentials -------------------------------------------------------------------------------------------------------

GH_STAND_IN = "#!/bin/sh\ncat >/dev/null\necho username=gh-user\necho password=gh-token\n"
BREW = "!/opt/homebrew/bin/gh auth git-credential"
STORED = "https://ann:stored@github.com\nhttps://ann:stored@x.example\n"
GITHUB = ("github.com", "gist.github.com")
CREDENTIALS = {
    "the Keychain": ("[credential]\n\thelper = osxkeychain\n", "", "gh-token", None),
    "the Keychain, and a file": ("[credential]\n\thelper = osxkeychain\n", STORED, "gh-token", "stored"),
    "gh of Homebrew": (
        "".join(f'[credential "https://{name}"]\n\thelper =\n\thelper = {BREW}\n' for name in GITHUB),
        "",
        "gh-token",
        None,
    ),
    "the Keychain, and gh of Homebrew": (
        f'[credential]\n\thelper = osxkeychain\n[credential "https://github.com"]\n\thelper =\n\thelper = {BREW}\n',
        "",
        "gh-token",
        None,
    ),
    "store first": (f"[credential]\n\thelper = store\n\thelper = {BREW}\n", STORED, "stored", "stored"),
    "store, and gh alone for GitHub": (
        f'[credential]\n\thelper = store\n[credential "https://github.com"]\n\thelper =\n\thelper = {BREW}\n',
        STORED,
        "gh-token",
        "stored",
    ),
    "store alone": ("[credential]\n\thelper = store\n", STORED, "stored", "stored"),
    "a helper for another host": (
        '[credential "https://x.example"]\n\thelper = !/opt/bin/glab auth git-credential\n',
        STORED,
        "stored",
        "stored",
    ),
    "a helper with a name in its URL": (
        '[credential "https://ann@github.com/org"]\n\thelper = manager\n',
        "",
        "gh-token",
        None,
    ),
    "none": ("", STORED, None, None),
    "a list with store that was cleared": (
        "[credential]\n\thelper = store\n\thelper =\n\thelper = manager\n",
        STORED,
        "gh-token",
        "stored",
    ),
    "a list that was cleared": (
        "[credential]\n\thelper = store\n\thelper =\n\thelper = manager\n",
        "",
        "gh-token",
        None,
    ),
}


def fill(machines: Machines, plan: Git, host: str) -> str | None:
    """The password that git finds in the guest; nothing may be said about programs that are missing."""
    done = machines.run(plan, FILL, typed=f"protocol=https\nhost={host}\n\n")
    assert "not a git command" not in done.stdout
    assert "not found" not in done.stdout
    words = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    return words.get("password") if done.returncode == 0 else None


@pytest.fixture
def with_gh(machines: Machines, tmp_path: Path) -> Machines:
    directory = tmp_path / "with gh"
    shutil.copytree(machines.programs, directory, symlinks=True)
    (directory / "gh").write_text(GH_STAND_IN)
    (directory / "gh").chmod(0o755)
    return machines._replace(programs=directory)


@pytest.mark.parametrize("file", [".gitconfig", "../system"])
@pytest.mark.parametrize("name", CREDENTIALS)
def test_git_finds_the_login_that_the_guest_has(with_gh: Machines, name: str, file: str) -> None:
    config, stored, github, other = CREDENTIALS[name]
    with_gh.write(file, config)
    if stored:
        with_gh.write(".git-credentials", stored)
    plan = with_gh.plan(github_hosts=("github.com",))
    assert fill(with_gh, plan, "github.com") == github
    assert fill(with_gh, plan, "x.example") == other


def test_gists_are_reached_with_the_login_of_their_host(with_gh: Machines) -> None:
    with_gh.write(".gitconfig", f'[credential "https://gist.github.com"]\n\thelper =\n\thelper = {BREW}\n')
    assert fill(with_gh, with_gh.plan(github_hosts=("github.com",)), "gist.github.com") == "gh-token"


def test_the_project_s_configuration_can_t_fill_the_session(machines: Machines) -> None:
    with (machines.project / ".git" / "config").open("a") as file:
        file.write("[credential]\n" + "helper = x\nhelper =\n" * 5000)
        file.write("".join(f'[credential "https://{n}@github.com"]\nhelper = x\nhelper = store\n' for n in range(500)))
    plan = machines.plan(github_hosts=("github.com",))
    assert len(plan.contribution.lines) < 6


def test_a_helper_in_the_project_s_own_configuration_is_replaced(with_gh: Machines) -> None:
    with_gh.on_host("git", "config", "credential.helper", "osxkeychain")
    assert fill(with_gh, with_gh.plan(github_hosts=("github.com",)), "github.com") == "gh-token"


def test_the_helper_of_apple_s_git_is_replaced(with_gh: Machines) -> None:
    """Its git has a file of its own below Xcode, of which it calls the scope "unknown"."""
    entry = Entry("unknown", "file:/Library/gitconfig", "credential.helper", "osxkeychain")
    configuration = Configuration((entry,))
    hosts = ("github.com",)
    plan = plan_git(
        with_gh.host, configuration, copied=True, credentials=False, github_hosts=hosts, agent=False, keys=False
    )
    assert plan.section == ""
    (with_gh.guest / ".gitconfig").write_text("[credential]\n\thelper = osxkeychain\n")
    assert fill(with_gh, plan, "github.com") == "gh-token"


def test_a_host_of_an_enterprise_is_asked_for_by_gh(with_gh: Machines) -> None:
    with_gh.write(".gitconfig", "[credential]\n\thelper = manager\n")
    plan = with_gh.plan(github_hosts=("git.corp.example",))
    assert fill(with_gh, plan, "git.corp.example") == "gh-token"
    assert fill(with_gh, plan, "github.com") is None


@pytest.mark.parametrize("action", ["approve", "reject"])
def test_the_copy_of_stored_logins_is_only_read(machines: Machines, action: str) -> None:
    """git writes what it got by one helper to every other; the next session would find the copy changed."""
    machines.write(".gitconfig", "[credential]\n\thelper = store\n")
    machines.write(".git-credentials", STORED)
    plan = machines.plan()
    typed = "protocol=https\nhost=x.example\nusername=ann\npassword=stored\n\n"
    assert machines.run(plan, f"git credential {action}", typed=typed).returncode == 0
    assert (machines.guest / ".git-credentials").read_text() == STORED


# --- Programs and files ------------------------------------------------------------------------------------------------

PROGRAMS = {
    "a pager": ("core.pager", "delta --dark", "less"),
    "a pager at its place": ("core.pager", "/opt/homebrew/bin/delta", "less"),
    "a pager that is there": ("core.pager", "less -R", "less -R"),
    "a pipe of pagers": ("core.pager", "diff-so-fancy | less -R", "less"),
    "a pager behind variables": ("core.pager", "LESSCHARSET=utf-8 less -R", "LESSCHARSET=utf-8 less -R"),
    "a missing one behind variables": ("core.pager", "BAT_THEME=x bat -p", "less"),
    "a pager of one command": ("pager.log", "delta", "less"),
    "no pager for a command": ("pager.log", "false", "false"),
    "an editor": ("core.editor", "code --wait", "vi"),
    "an editor in quotes": ("core.editor", "'/Applications/Sublime Text.app/subl' -n -w", "vi"),
    "an editor with a backslash": ("core.editor", "/Applications/Visual\\ Studio/code --wait", "vi"),
    "an editor with a backslash that is there": ("core.editor", "~/my\\ bin/edit -w", "~/my\\ bin/edit -w"),
    "an editor in quotes that is there": ("core.editor", '"$HOME/my bin/edit"', '"$HOME/my bin/edit"'),
    "an editor in the home": ("core.editor", "~/bin/edit", "~/bin/edit"),
    "an editor that is not in the home": ("core.editor", "$HOME/bin/none", "vi"),
    "a function": ("core.editor", 'f() { vi "$@"; }; f', 'f() { vi "$@"; }; f'),
    "an editor of sequences": ("sequence.editor", "interactive-rebase-tool", "vi"),
    "a filter": ("interactive.diffFilter", "delta --color-only", "cat"),
    "ssh": ("core.sshCommand", "/opt/homebrew/bin/ssh -4", "ssh"),
    "ssh that is there": ("core.sshCommand", "sh -c ssh", "sh -c ssh"),
    "a template": ("commit.template", "~/none", "/dev/null"),
    "a template at its place": ("commit.template", "/nowhere/none", "/dev/null"),
    "a template that is there": ("commit.template", "~/template", "~/template"),
    "a template of the project": ("commit.template", "none", "none"),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_that_the_guest_lacks_is_replaced(machines: Machines, name: str) -> None:
    key, value, expected = PROGRAMS[name]
    for directory in "bin", "my bin":
        (machines.guest / directory).mkdir()
        shutil.copy("/bin/true", machines.guest / directory / "edit")
    (machines.guest / "template").touch()
    machines.on_host("git", "config", "--file", str(machines.write(".gitconfig", "")), key, value)
    assert machines.in_guest(machines.plan(), f"git config {key}") == expected


def test_a_program_that_an_included_file_names_needs_nothing(machines: Machines) -> None:
    machines.write(".gitconfig", "[include]\n\tpath = more\n[core]\n\tpager = cat\n")
    machines.write("more", "[core]\n\tpager = delta\n\teditor = code\n")
    plan = machines.plan()
    assert machines.in_guest(plan, "git config core.pager") == "cat"
    assert machines.run(plan, "git config core.editor").stdout == ""


def test_without_the_copy_no_program_is_looked_for(machines: Machines) -> None:
    machines.write(".gitconfig", "[core]\n\tpager = delta\n[commit]\n\tgpgSign = true\n")
    plan = machines.plan(copied=False)
    assert plan.contribution.lines == ("git_override 'safe.directory' '*'",)
    assert plan.contribution.notices == ()


@pytest.fixture
def changed(machines: Machines) -> Machines:
    """A project with a file that changed."""
    machines.write(".gitconfig", IDENTITY)
    (machines.project / "file").write_text("old\n")
    machines.on_host("git", "add", "file")
    machines.on_host("git", "commit", "-qm", "first")
    (machines.project / "file").write_text("new\n")
    return machines


def test_a_missing_program_for_differences_is_replaced(changed: Machines) -> None:
    changed.write(".gitconfig", IDENTITY + "[diff]\n\texternal = difft --color always\n")
    said = changed.in_guest(changed.plan(), "git diff")
    assert said.splitlines() == ["--- a/file", "+++ b/file", "@@ -1 +1 @@", "-old", "+new"]


def test_commits_are_written_with_the_editor_of_the_guest(changed: Machines) -> None:
    text = "[core]\n\teditor = code --wait\n[commit]\n\ttemplate = ~/none\n"
    changed.write(".gitconfig", IDENTITY + text)
    command = "git commit -qa && git log -1 --format=%s"
    assert changed.in_guest(changed.plan(), command, EDITOR="sed -i 1s/^/written/") == "written"


def test_parts_are_added_without_the_filter_of_the_host(changed: Machines) -> None:
    changed.write(".gitconfig", IDENTITY + "[color]\n\tui = always\n[interactive]\n\tdiffFilter = delta --color-only\n")
    done = changed.run(changed.plan(), "git add -p >/dev/null && git diff --cached --name-only", typed="y\n")
    assert done.stdout.strip().endswith("file")
    assert "error" not in done.stdout


# --- Signing -----------------------------------------------------------------------------------------------------------

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ/kIMsXZKreObZPGjNS9bS0j0nAxEOKSj8rlHQ5vZ0A"
ON = "[commit]\n\tgpgSign = true\n[tag]\n\tgpgSign\n"
SSH = ON + "[gpg]\n\tformat = ssh\n"
ONE_PASSWORD = '[gpg "ssh"]\n\tprogram = /Applications/1Password.app/Contents/MacOS/op-ssh-sign\n'
UNSIGNED = {
    "gpg of Homebrew": (ON + "[gpg]\n\tprogram = /opt/homebrew/bin/gpg\n", True, "AGENTVM_SSH_AGENT=1"),
    "gpg in the keychain of the user": (ON + "[user]\n\tsigningKey = 0123ABCD\n", False, "keys of gpg"),
    "ssh without an agent": (SSH + "[user]\n\tsigningKey = ~/key.pub\n", False, "AGENTVM_SSH_AGENT=1"),
    "1Password without an agent": (SSH + ONE_PASSWORD, False, "AGENTVM_SSH_AGENT=1"),
    "a key itself without an agent": (SSH + f"[user]\n\tsigningKey = {KEY}\n", False, "AGENTVM_SSH_AGENT=1"),
    "no key is named": (SSH, True, "user.signingkey"),
    "a key that is not there": (SSH + "[user]\n\tsigningKey = ~/none.pub\n", True, "user.signingkey"),
    "a key outside the home": (SSH + "[user]\n\tsigningKey = /etc/passwd\n", True, "user.signingkey"),
    "a file that is no key": (SSH + "[user]\n\tsigningKey = ~/.gitconfig\n", True, "user.signingkey"),
    "a directory": (SSH + "[user]\n\tsigningKey = ~/work\n", True, "user.signingkey"),
    "only pushes and tags": ("[tag]\n\tforceSignAnnotated = yes\n[push]\n\tgpgSign = if-asked\n", True, "keys of gpg"),
}


@pytest.mark.parametrize("name", UNSIGNED)
def test_signing_is_off_and_said_so_when_no_key_can_be_reached(machines: Machines, name: str) -> None:
    config, agent, hint = UNSIGNED[name]
    machines.write(".gitconfig", IDENTITY + config)
    plan = machines.plan(agent=agent)
    assert machines.in_guest(plan, f"{COMMIT} && git tag -a -m text v1") == "Ann ann@home.example"
    (notice,) = plan.contribution.notices
    assert "not signed" in notice
    assert hint in notice


@pytest.mark.parametrize("name", ["{outside}", "~/link.pub"])
def test_a_key_outside_the_home_is_not_read(machines: Machines, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "key.pub"
    outside.write_text(KEY)
    (Path(machines.host.home) / "link.pub").symlink_to(outside)
    machines.write(".gitconfig", f"{IDENTITY}{SSH}[user]\n\tsigningKey = {name.format(outside=outside)}\n")
    plan = machines.plan(agent=True)
    assert KEY.split()[1] not in repr(plan)
    assert "user.signingkey" in plan.contribution.notices[0]


def test_a_pipe_instead_of_a_key_does_not_hold_the_session_up(machines: Machines) -> None:
    os.mkfifo(Path(machines.host.home) / "key.pub")
    machines.write(".gitconfig", IDENTITY + SSH + "[user]\n\tsigningKey = ~/key.pub\n")
    assert "not signed" in machines.plan(agent=True).contribution.notices[0]


def test_signing_that_the_project_wants_is_off_too(machines: Machines) -> None:
    machines.write(".gitconfig", IDENTITY)
    machines.on_host("git", "config", "commit.gpgSign", "true")
    plan = machines.plan()
    assert machines.in_guest(plan, COMMIT) == "Ann ann@home.example"
    assert len(plan.contribution.notices) == 1


class Agent(NamedTuple):
    """A real ssh-agent with one key; the private key is nowhere else."""

    socket: str
    public: str


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    socket, key = tmp_path / "agent", tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ann@host", "-f", str(key)], check=True)
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    try:
        while not socket.exists():
            time.sleep(0.01)
        subprocess.run(["ssh-add", "-q", str(key)], env={"SSH_AUTH_SOCK": str(socket)}, check=True)
        key.unlink()
        yield Agent(str(socket), key.with_suffix(".pub").read_text())
    finally:
        process.terminate()
        process.wait()


KEYS = {
    "a path": "~/keys/key.pub",
    "the private key beside it": "~/keys/key",
    "the whole path": "{home}/keys/key.pub",
    "the key itself": "{key}",
    "the key by git's word": "key::{key}",
}


@pytest.mark.parametrize("where", [".gitconfig", ".config/git/config"])
@pytest.mark.parametrize("name", KEYS)
def test_a_commit_is_signed_by_the_forwarded_agent(machines: Machines, agent: Agent, name: str, where: str) -> None:
    key = " ".join(agent.public.split()[:2])
    machines.write("keys/key.pub", agent.public)
    machines.write("keys/key", "-----BEGIN OPENSSH PRIVATE KEY-----\n")
    named = KEYS[name].format(home=machines.host.home, key=key)
    machines.write(where, f"{IDENTITY}{SSH}{ONE_PASSWORD}[user]\n\tsigningKey = {named}\n")
    plan = machines.plan(agent=True)
    assert plan.contribution.notices == ()
    assert "PRIVATE" not in repr(plan)
    (machines.guest / "signers").write_text(f"ann@home.example {key}\n")
    command = f"{COMMIT} && git -c gpg.ssh.allowedSignersFile=$HOME/signers verify-commit HEAD"
    said = machines.in_guest(plan, command, SSH_AUTH_SOCK=agent.socket)
    assert 'Good "git" signature for ann@home.example' in said


@pytest.mark.parametrize("shell", FOUND)
@pytest.mark.parametrize("reached", [True, False])
def test_a_key_that_the_agent_does_not_hold_is_no_failure(
    machines: Machines, agent: Agent, shell: str, reached: bool
) -> None:
    """On the host ssh-keygen signs with the key's file, and the agent may have others, or not be reached at all."""
    machines.write("key.pub", f"{KEY} other\n")
    machines.write(".gitconfig", f"{IDENTITY}{SSH}[user]\n\tsigningKey = ~/key.pub\n")
    environment = {"SSH_AUTH_SOCK": agent.socket} if reached else {}
    done = machines.run(machines.plan(agent=True), COMMIT, FOUND[shell], environment=environment)
    warning, identity = done.stdout.splitlines()
    assert "not signed" in warning
    assert identity == "Ann ann@home.example"


def test_a_key_itself_is_of_no_use_without_an_agent(machines: Machines) -> None:
    machines.write(".gitconfig", f"{IDENTITY}{SSH}[user]\n\tsigningKey = {KEY}\n")
    plan = machines.plan(keys=True)
    assert machines.in_guest(plan, COMMIT) == "Ann ann@home.example"
    assert "AGENTVM_SSH_AGENT=1" in plan.contribution.notices[0]


def test_a_commit_is_signed_by_a_key_that_is_shared(machines: Machines, tmp_path: Path) -> None:
    (machines.guest / ".ssh").mkdir()
    key = machines.guest / ".ssh" / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    machines.write(".gitconfig", f"{IDENTITY}{SSH}{ONE_PASSWORD}[user]\n\tsigningKey = ~/.ssh/key.pub\n")
    plan = machines.plan(keys=True)
    assert plan.contribution.notices == ()
    said = machines.in_guest(plan, f"{COMMIT} && git cat-file -p HEAD")
    assert "BEGIN SSH SIGNATURE" in said


def test_a_key_that_the_project_s_configuration_names_is_not_opened(machines: Machines, agent: Agent) -> None:
    machines.write("key.pub", agent.public)
    machines.write(".gitconfig", IDENTITY + SSH)
    machines.on_host("git", "config", "user.signingKey", "~/key.pub")
    plan = machines.plan(agent=True)
    assert agent.public.split()[1] not in repr(plan)
    assert "user.signingkey" in plan.contribution.notices[0]


def test_nothing_on_the_host_is_changed(machines: Machines) -> None:
    machines.write(".gitconfig", IDENTITY + SSH + "[credential]\n\thelper = osxkeychain\n")

    def state() -> dict[str, bytes]:
        home = Path(machines.host.home)
        return {str(path): path.read_bytes() for path in home.rglob("*") if path.is_file()}

    before = state()
    machines.plan(github_hosts=("github.com",), agent=True)
    assert state() == before
