"""The places from which programs of the host run what lies there, merely since it lies there: one table.

A place counts when it is enough to be in a directory, to open it in an editor, or to use git or an agent there. What
runs only when somebody builds or tests the project (a Makefile, a lifecycle script of package.json) is the project
itself, which the agent is there to change.

git's are from git-config(1), githooks(5), gitrepository-layout(5) and gitattributes(5) of 2.52; the agents' as of
Claude Code 2.1.330, Codex 0.169.0 and opencode 1.18.33.
"""

from __future__ import annotations

from agentvm.values import Enum, NamedTuple


class Kind(Enum):
    """How to find in a file what is executed of it; see `runnable`."""

    WHOLE = "whole"
    GIT = "git"
    TODO = "todo"
    TABLE = "table"
    CLAUDE = "claude"
    CLAUDE_STATE = "claude-state"
    CODEX = "codex"
    OPENCODE = "opencode"
    OPENCODE_LOGIN = "opencode-login"
    MARKDOWN = "markdown"
    WORKSPACE = "workspace"


class Place(NamedTuple):
    """Files below a root. A part of the pattern that starts with `*` is any name that ends so, in one directory."""

    pattern: str
    runner: str
    """What executes it, and when: completes "run by"."""
    kind: Kind = Kind.WHOLE


class Area(Enum):
    """What a root is. The table has places for each."""

    TREE = "tree"
    GIT_DIRECTORY = "git directory"
    CLAUDE = "claude"
    CODEX = "codex"
    OPENCODE = "opencode"
    OPENCODE_LOGIN = "opencode's login"
    GH = "gh"
    SSH = "ssh"


class Root(NamedTuple):
    """A directory that a guest can write."""

    path: str
    """Absolute and real: nobody but the user can change a part of it."""
    area: Area


_GIT = "git, at any command"
_CLAUDE = "Claude Code, when it starts"
_CODEX = "Codex, when it starts"
_OPENCODE = "opencode, when it starts"
_DIRENV = "the shell, on entering the directory, where its tool allows it"
_COMMIT = "git, on commit, where its hook is installed"
_VSCODE = "VS Code, when the folder is opened and trusted"
_IDEA = "a JetBrains IDE, when the project is opened and trusted"
_EDITOR = "the editor, when a file here is opened"
_CONTAINER = "an editor's dev container: its initializeCommand, on this computer"


def git_places(at: str) -> tuple[Place, ...]:
    """Those of the git directory `at`, a path below its root with a slash behind it, or empty."""
    return tuple(place._replace(pattern=at + place.pattern) for place in _GIT_DIRECTORY)


_GIT_DIRECTORY = (
    Place("config", _GIT, Kind.GIT),
    Place("config.worktree", _GIT, Kind.GIT),
    Place("commondir", "git, which takes the configuration from there"),
    Place("hooks/*", "git, on what it is named for"),
    Place("info/attributes", "git, which chooses filters and drivers by it"),
    Place("rebase-merge/git-rebase-todo", "git, on `git rebase --continue`", Kind.TODO),
    Place("worktrees/*/config.worktree", _GIT, Kind.GIT),
    Place("modules/*/config", "git, at any command in the submodule", Kind.GIT),
    Place("modules/*/hooks/*", "git, on what it is named for, in the submodule"),
    Place("modules/*/*/config", "git, at any command in the submodule", Kind.GIT),
    Place("modules/*/*/hooks/*", "git, on what it is named for, in the submodule"),
)


def _claude_places(at: str) -> tuple[Place, ...]:
    used = "Claude Code, when it is used"
    return (
        Place(f"{at}settings.json", _CLAUDE, Kind.CLAUDE),
        Place(f"{at}settings.local.json", _CLAUDE, Kind.CLAUDE),
        Place(f"{at}hooks/*", "Claude Code, where its settings name it"),
        Place(f"{at}agents/*.md", used, Kind.MARKDOWN),
        Place(f"{at}commands/*.md", used, Kind.MARKDOWN),
        Place(f"{at}commands/*/*.md", used, Kind.MARKDOWN),
        Place(f"{at}skills/*/SKILL.md", used, Kind.MARKDOWN),
    )


def _opencode_places(at: str) -> tuple[Place, ...]:
    used = "opencode, when it is used"
    code = tuple(Place(f"{at}{name}/*", _OPENCODE) for name in ("plugin", "plugins", "tool", "tools"))
    texts = tuple(Place(f"{at}{name}/*.md", used, Kind.MARKDOWN) for name in _OPENCODE_TEXTS)
    settings = tuple(Place(f"{at}{name}", _OPENCODE, Kind.OPENCODE) for name in _OPENCODE_SETTINGS)
    return (*settings, *code, *texts, Place(f"{at}package.json", _OPENCODE, Kind.TABLE))


_OPENCODE_TEXTS = ("agent", "agents", "command", "commands")
_OPENCODE_SETTINGS = ("opencode.json", "opencode.jsonc", "config.json")

POINTER = Place(".git", "git, which takes the repository from there")
"""A `.git` that is a file: it says where the git directory is."""
_TREE = (
    POINTER,
    *git_places(".git/"),
    *(
        Place(f"{name}/*", "git, where core.hooksPath names the directory")
        for name in (".husky", ".husky/_", ".githooks")
    ),
    *(Place(name, _COMMIT) for name in (".pre-commit-config.yaml", "lefthook.yml", "lefthook.yaml")),
    *(Place(name, _DIRENV) for name in (".envrc", "mise.toml", ".mise.toml", ".config/mise.toml")),
    *(Place(f".vscode/{name}.json", _VSCODE) for name in ("tasks", "settings", "launch", "extensions", "mcp")),
    Place("*.code-workspace", _VSCODE),
    *(Place(f".zed/{name}.json", "Zed, when the folder is opened and trusted") for name in ("tasks", "settings")),
    *(Place(f".cursor/{name}.json", "Cursor, when the folder is opened and trusted") for name in ("mcp", "hooks")),
    Place(".idea/runConfigurations/*", _IDEA),
    *(Place(f".idea/{name}.xml", _IDEA) for name in ("startup", "watcherTasks")),
    Place(".idea/tools/*", _IDEA),
    Place(".idea/workspace.xml", _IDEA, Kind.WORKSPACE),
    *(Place(name, _EDITOR) for name in (".exrc", ".nvimrc", ".nvim.lua", ".vimrc", ".dir-locals.el", ".gdbinit")),
    *(Place(name, _CONTAINER) for name in (".devcontainer.json", ".devcontainer/*.json", ".devcontainer/*/*.json")),
    *_claude_places(".claude/"),
    Place(".mcp.json", _CLAUDE, Kind.TABLE),
    Place(".codex/config.toml", _CODEX, Kind.CODEX),
    Place(".codex/hooks.json", _CODEX, Kind.TABLE),
    Place(".codex/rules/*", "Codex, which runs without asking what they allow"),
    *(Place(name, _OPENCODE, Kind.OPENCODE) for name in _OPENCODE_SETTINGS[:2]),
    *_opencode_places(".opencode/"),
)

TABLE: dict[Area, tuple[Place, ...]] = {
    Area.TREE: _TREE,
    Area.GIT_DIRECTORY: git_places(""),
    Area.CLAUDE: (
        *_claude_places(""),
        # Here with CLAUDE_CONFIG_DIR; else beside the directory, where no guest writes.
        Place(".claude.json", _CLAUDE, Kind.CLAUDE_STATE),
        *(Place(f"*.{end}", "Claude Code, where its settings name it") for end in ("sh", "py", "js", "mjs", "ts")),
        Place("plugins/installed_plugins.json", _CLAUDE, Kind.TABLE),
        Place("plugins/known_marketplaces.json", _CLAUDE, Kind.TABLE),
        Place("plugins/cache/*/*/*/hooks/*", "Claude Code, where the plugin is enabled"),
        Place("plugins/cache/*/*/*/.mcp.json", "Claude Code, where the plugin is enabled", Kind.TABLE),
        Place("plugins/cache/*/*/*/.lsp.json", "Claude Code, where the plugin is enabled", Kind.TABLE),
        Place("plugins/cache/*/*/*/.claude-plugin/plugin.json", "Claude Code, where the plugin is enabled", Kind.TABLE),
    ),
    Area.CODEX: (
        Place("config.toml", _CODEX, Kind.CODEX),
        Place("*.config.toml", "Codex, when it starts with that profile", Kind.CODEX),
        Place("hooks.json", _CODEX, Kind.TABLE),
        Place("hooks/*", "Codex, where its settings name it"),
        Place("rules/*", "Codex, which runs without asking what they allow"),
    ),
    Area.OPENCODE: _opencode_places(""),
    Area.OPENCODE_LOGIN: (Place("auth.json", _OPENCODE, Kind.OPENCODE_LOGIN),),
    Area.GH: (Place("config.yml", "gh: its aliases, editor, pager and browser"),),
    Area.SSH: (
        Place("config", "ssh, at any connection"),
        Place("rc", "sshd, when somebody logs in"),
        Place("environment", "sshd, when somebody logs in"),
        Place("authorized_keys", "sshd, which lets in who has these keys"),
    ),
}
"""On QEMU's virtiofs a guest's root can write what is mounted read-only, so gh's and ssh's are there as well."""
