"""The session script: POSIX shell text that makes the guest ready for one program and then runs it.

It is a pure function of its values and knows nothing of the backend, so a test runs it under a real sh with a home of
its own. It travels in the environment variable AGENTVM_SESSION, and nothing of it is ever on a command line.
"""

from __future__ import annotations

from agentvm.agents import Agent
from agentvm.digest import sha256
from agentvm.errors import UsageError
from agentvm.guest_shell import (
    FUNCTIONS,
    INSTALL,
    LINK_KEYS,
    OWN,
    PUT,
    RUN_PIPED,
    RUN_TERMINAL,
    TOOLS,
    UPDATE,
    VARIABLE,
)
from agentvm.model import Contribution
from agentvm.quoting import join, quote
from agentvm.sharing import Link, Sharing, SyncedFile
from agentvm.values import NamedTuple

STARTER = (
    f'exec /bin/sh -c \'[ "${VARIABLE}" ] || '
    "{ echo agentvm: the sshd of this VM does not take sessions, run agentvm base apply >&2; exit 1; }; "
    f'eval "${VARIABLE}"\''
)
"""The command line that runs the script, whatever the guest user's own shell is."""
EVAL = ("/bin/sh", "-c", 'eval "$(cat)"')
"""The words that run a script from standard input, where nobody sees it: it may hold secrets."""
LARGEST_SCRIPT = 130_000
"""Bytes. Linux takes 131,071 in one environment string; 130,000 were seen to pass through ssh's master."""


class Program(NamedTuple):
    """What to run, where, and with what around it."""

    argv: tuple[str, ...]
    """Empty stands for the guest user's login shell."""
    directory: str
    environment: tuple[tuple[str, str], ...] = ()
    agent: Agent | None = None
    """Given when the program is to be installed if it is missing."""
    install: str = ""
    """The user's own shell text to install it; empty for ours."""
    skip_install: bool = False


class Attachment(NamedTuple):
    """How the program's streams and signals reach the host."""

    terminal: bool
    token: str
    """A random word of this session: names its process id file, and marks what it prints when it is suspended."""

    @property
    def suspended(self) -> str:
        """Printed in the guest when Ctrl-Z stopped the program: a terminal ignores it, agentvm waits for it."""
        return f"\033_agentvm;suspended;{self.token}\033\\"


def build_script(
    sharing: Sharing, program: Program, attachment: Attachment, contributions: tuple[Contribution, ...] = ()
) -> str:
    """The whole script. Raises UsageError when it is too large to travel, which only long arguments can make it."""
    parts = [
        *_preparation(sharing, contributions),
        INSTALL if program.agent else "",
        *(f"export {name}={quote(value)}" for name, value in program.environment),
        _ensure(program.agent, program) if program.agent else "",
        TOOLS,
        f"cd {quote(program.directory)} || die 'the directory is not there in this VM'",
        _run(program, attachment),
    ]
    return _checked(parts)


def build_update(
    sharing: Sharing | None,
    contributions: tuple[Contribution, ...],
    installs: tuple[tuple[Agent, str], ...],
    only_installed: bool = False,
) -> str:
    """Shell text that brings these agents to their newest versions, each with the user's own command for it, or "".

    Without `sharing` nothing of the host is in the guest, as in the base.
    """
    parts = [
        *(_preparation(sharing, contributions) if sharing else (FUNCTIONS,)),
        INSTALL,
        UPDATE,
        "failed=0 updated=",
        *(
            f"{f'! installed {quote(agent.name)} || ' if only_installed else ''}"
            f"update {quote(agent.name)} {_how(agent, install)}"
            for agent, install in installs
        ),
        "[ \"$updated\" ] || say 'no agent is installed in this VM yet'",
        "exit $failed",
    ]
    return _checked(parts)


def _preparation(sharing: Sharing, contributions: tuple[Contribution, ...]) -> list[str]:
    """What every session does, whichever program it is for: a shell's user may start any of them."""
    return [
        FUNCTIONS,
        LINK_KEYS if sharing.keys_shared else "",
        PUT if any(file.content is not None for file in sharing.files) else "",
        OWN if sharing.own else "",
        *(contribution.functions for contribution in contributions),
        *(f"own {quote(own.place)} {quote(own.path)}" for own in sharing.own),
        *(f"link {quote(link.target)} {quote(link.path)}" for link in sharing.links),
        *(f"unlink_from {quote(link.target)} {quote(link.path)}" for link in sharing.unlinked),
        _keys(sharing.keys, sharing.keys_shared),
        *(_synced(file) for file in sharing.files),
        *(line for contribution in contributions for line in contribution.lines),
    ]


def _checked(parts: list[str]) -> str:
    script = "\n".join(filter(None, parts)) + "\n"
    if len(script.encode(errors="surrogateescape")) > LARGEST_SCRIPT:
        raise UsageError(
            "The arguments and the copied files are too long to send into the VM together.",
            f"They may have some {LARGEST_SCRIPT // 1000} kB; put a long prompt into a file of the project.",
        )
    return script


def signal_script(token: str, name: str) -> str:
    """Shell text that sends a signal ("INT") to every process of a session without a terminal."""
    kill = f"kill -s {name}"
    # busybox's kill takes no "--", dash's needs it.
    return (
        f'read -r group <"$HOME/.local/state/agentvm/run/{token}" && '
        f'{{ {kill} -- "-$group" 2>/dev/null || {kill} "-$group"; }}'
    )


def _keys(keys: Link, shared: bool) -> str:
    return f"{'link_keys' if shared else 'unlink_keys'} {quote(keys.target)} {quote(keys.path)}"


def _synced(file: SyncedFile) -> str:
    if file.content is None:
        return f"drop {quote(file.path)}"
    digest = sha256(file.content.encode(errors="surrogateescape"))
    return f"put {quote(file.path)} {digest} {quote(file.content)}"


def _ensure(agent: Agent, program: Program) -> str:
    """The check is a few tests of the shell's own; all else happens once in a VM's life."""
    name = quote(agent.name)
    if program.skip_install:
        text = f"{agent.name} is not in this VM, and AGENTVM_SKIP_AUTO_INSTALL forbids to install it; `agentvm update {agent.name}` does"
        return f"installed {name} || {{ say {quote(text)}; exit 127; }}"
    return f"installed {name} || once {name} {_how(agent, program.install)} || exit 1"


def _how(agent: Agent, install: str) -> str:
    """The shell command that installs an agent, or brings it to its newest version."""
    name = quote(agent.name)
    if install:
        return f"custom_install {name} {quote(install)}"
    if agent.package:
        return f"npm_install {name} {quote(agent.package)} {quote(agent.completion)}"
    return f"apt_install {name}"


def _run(program: Program, attachment: Attachment) -> str:
    words = join(program.argv) if program.argv else '"${SHELL:-/bin/sh}" -l'
    if not attachment.terminal:
        return RUN_PIPED.format(token=attachment.token, words=words)
    if not program.argv:
        return f"exec {words}"
    marker = quote(attachment.suspended.replace("\\", "\\\\").replace("\033", "\\033"))
    return RUN_TERMINAL.format(marker=marker, words=words)
