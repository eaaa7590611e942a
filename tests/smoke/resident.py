"""A user who has lived on a computer for a while: logged in everywhere, with settings that name what only a Mac has.

Every secret of hers ends with one mark, so that it is found wherever it comes to.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import build
from tests.smoke.computer import BUNDLES, DOWNLOADS, VIRTIOFSD, Computer

GITCONFIG = """\
[user]
	name = Resident
	email = resident@home.example
	signingkey = ~/.ssh/id_ed25519.pub
[includeIf "gitdir:~/main/"]
	path = ~/dotfiles/work
[commit]
	gpgsign = true
[gpg]
	format = ssh
[gpg "ssh"]
	program = /Applications/1Password.app/Contents/MacOS/op-ssh-sign
[credential]
	helper = osxkeychain
[credential "https://github.com"]
	helper =
	helper = !/opt/homebrew/bin/gh auth git-credential
[core]
	pager = /opt/homebrew/bin/delta
"""
HOSTS = """\
github.com:
    user: resident
    oauth_token: {token}
    git_protocol: https
"""
CONFIG = """\
pass_env = ["OWN_*"]
[[mounts]]
path = "~/data"
[[mounts]]
path = "~/notes"
mode = "rw"
"""


class Resident:
    """She, her project (a linked work tree of `main`), and the mark of her secrets."""

    def __init__(self, machine: Computer) -> None:
        self.mark = secrets.token_hex(12)
        self.computer = Computer(machine.directory, machine.prefix, "resident")
        self.computer.borrow(VIRTIOFSD, *DOWNLOADS)
        self.home = self.computer.home
        # Certificates have a stage of their own, and a language and a time zone, too.
        self.computer.unset(*BUNDLES, "TZ", "LC_ALL", "LC_CTYPE", "GH_TOKEN", "GITHUB_TOKEN")
        self.computer.environment |= {
            "PATH": f"{provide_agents()}:{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            "DISABLE_AUTOUPDATER": "1",
        }
        self._write_logins()
        self._write_git()
        self.project = self._make_project()
        self.trust(True)
        for name in ("data", "notes"):
            self.write(f"{name}/file", f"{name}\n")
        self.write(".config/agentvm/config.toml", CONFIG)

    def write(self, path: str, content: str) -> Path:
        """A file below the home, for her alone."""
        file = self.home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        file.chmod(0o600)
        return file

    def secret(self, start: str) -> str:
        return start + self.mark

    def trust(self, trusted: bool) -> None:
        """What she answered when claude and codex asked about `main`."""
        known: dict[str, object] = {"hasCompletedOnboarding": True, "theme": "dark"}
        config = 'model = "gpt-5.2"\n'
        if trusted:
            known["projects"] = {str(self.home / "main"): {"hasTrustDialogAccepted": True}}
            config += f'[projects."{self.home}/main"]\ntrust_level = "trusted"\n'
        self.write(".claude.json", json.dumps(known))
        self.write(".codex/config.toml", config)

    @contextmanager
    def ssh_agent(self) -> Iterator[str]:
        """Her ssh agent with her key in it, which is in no file that is shared; the path of its socket."""
        socket = str(self.computer.directory / "agent")
        with subprocess.Popen(("ssh-agent", "-D", "-a", socket), stdout=subprocess.DEVNULL) as agent:
            try:
                added = self.computer.host(self.home, "sh", "-c", ADD_KEY, SSH_AUTH_SOCK=socket)
                assert added.status == 0, added
                yield socket
            finally:
                agent.terminate()

    @property
    def private_key(self) -> str:
        """A line of it that no other key has."""
        return (self.home / ".ssh/id_ed25519").read_text().splitlines()[2]

    @property
    def public_key(self) -> str:
        return " ".join((self.home / ".ssh/id_ed25519.pub").read_text().split()[:2])

    def _write_logins(self) -> None:
        login = {
            "accessToken": self.secret("sk-ant-oat01-"),
            "refreshToken": self.secret("sk-ant-ort01-"),
            "expiresAt": 4102444800000,
            "scopes": ["user:inference", "user:profile"],
            "subscriptionType": "max",
        }
        key = {"type": "api", "key": self.secret("sk-ant-api03-")}
        self.write(".claude/.credentials.json", json.dumps({"claudeAiOauth": login}))
        codex = {"auth_mode": "apikey", "OPENAI_API_KEY": self.secret("sk-proj-")}
        self.write(".codex/auth.json", json.dumps(codex))
        self.write(".local/share/opencode/auth.json", json.dumps({"anthropic": key}))
        self.write(".config/gh/config.yml", 'version: "1"\n')
        self.write(".config/gh/hosts.yml", HOSTS.format(token=self.secret("gho_")))
        self.write(".git-credentials", f"https://resident:{self.secret('pw-')}@git.example\n")

    def _write_git(self) -> None:
        self.write(".gitconfig", GITCONFIG)
        self.write("dotfiles/work", "[user]\n\temail = resident@work.example\n")
        (self.home / ".ssh").mkdir(mode=0o700)
        key = self.home / ".ssh/id_ed25519"
        subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "resident", "-f", key), check=True)

    def _make_project(self) -> Path:
        project = self.home / "house"
        main = self.computer.project("main")
        for words in (
            ("init", "-q"),
            ("-c", "commit.gpgsign=false", "commit", "-q", "--allow-empty", "-m", "first"),
            ("worktree", "add", "-q", str(project)),
        ):
            done = self.computer.host(main, "git", *words)
            assert done.status == 0, done
        return project.resolve()


ADD_KEY = """\
for number in 1 2 3 4 5 6 7 8 9 10; do
    [ ! -S "$SSH_AUTH_SOCK" ] || exec ssh-add -q "$HOME/.ssh/id_ed25519"
    sleep 0.3
done
exit 1"""


def provide_agents() -> Path:
    """The directory of the agents for the computer itself, which are installed once."""
    build.AGENTS.mkdir(parents=True, exist_ok=True)
    with build.locked(build.AGENTS / "lock"):
        if not (build.AGENTS / "installed").exists():
            build.install_agents()
    return build.AGENTS / "bin"
