"""The agents, as a table: how each is installed, which flag lets it act without asking, and what it needs around it.

What is said here of flags, packages and variables was found by running claude 2.1, codex 0.169 and opencode 1.18.
"""

from __future__ import annotations

from agentvm.values import NamedTuple

NPM_PREFIX = ".local/share/agentvm/npm"
"""Where npm installs agents, below the guest's home: on the guest's own disk, since a mount carries host binaries."""


class Agent(NamedTuple):
    """A program that agentvm runs in a guest and installs there when it is missing."""

    name: str
    package: str = ""
    """The npm package; empty for a program that comes from the distribution."""
    completion: str = ""
    """A script of the package that finishes an installation whose install scripts npm did not run (npm 12 blocks them)."""
    guest_environment: tuple[tuple[str, str], ...] = ()
    """Variables that are always set; "~/" at the front of a value is the guest's home."""
    mac_environment: tuple[tuple[str, str], ...] = ()
    """Variables that are set beside them when the host is a Mac."""
    directories: tuple[str, ...] = ()
    """Directories below the guest's home that must be there before it starts."""

    def environment_for(self, platform: str) -> tuple[tuple[str, str], ...]:
        """What is always set in the guest of a host whose `sys.platform` this is."""
        return self.guest_environment + (self.mac_environment if platform == "darwin" else ())


CLAUDE = Agent(
    "claude",
    "@anthropic-ai/claude-code",
    "install.cjs",
    # Its own updater would replace what agentvm installed and proved.
    (("DISABLE_AUTOUPDATER", "1"),),
    # A Mac's claude keeps its login in the Keychain, and removes the file that a guest would write into the shared
    # ~/.claude: so the guest has one of its own. claude makes the directory; `claude auth status` finds the login there.
    (("CLAUDE_SECURESTORAGE_CONFIG_DIR", "~/.local/state/agentvm/claude"),),
)
CODEX = Agent(
    "codex",
    "@openai/codex",
    "",
    # Six live databases: on a directory that host and guest share they get corrupted.
    (("CODEX_SQLITE_HOME", "~/.local/state/agentvm/codex"),),
    (),
    (".local/state/agentvm/codex",),
)
OPENCODE = Agent(
    "opencode",
    "opencode-ai",
    "postinstall.mjs",
    # Its database stays on the guest's disk, wherever the rest of its data is. opencode makes this directory, its usual one.
    (("OPENCODE_DISABLE_AUTOUPDATE", "1"), ("OPENCODE_DB", "~/.local/share/opencode/opencode.db")),
)
GH = Agent("gh")

AGENTS = {agent.name: agent for agent in (CLAUDE, CODEX, OPENCODE)}
PROGRAMS = AGENTS | {GH.name: GH}
