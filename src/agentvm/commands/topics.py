"""What is worth reading beside the commands: the topics of `agentvm help`, which are also parts of the manual.

A topic that has a command's name is shown below that command's help.
"""

from __future__ import annotations

from agentvm.commands.layout import Page, Rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Topic:
    """`page` makes it, when it is asked for."""

    def __init__(self, name: str, summary: str, page: Callable[[], Page]) -> None:
        self.name = name
        self.summary = summary
        self.page = page


EXIT_STATUSES = (
    ("0", "done"),
    ("1", "a failure that can happen: a sentence says what, and what to do next"),
    ("2", "the command line or a setting is wrong, and nothing was changed"),
    ("3", "a bug in agentvm; the message names a log that tells where"),
    ("130", "interrupted by Ctrl-C"),
)

FILES = (
    ("~/.config/agentvm/config.toml", "settings; XDG_CONFIG_HOME moves it"),
    ("~/.local/state/agentvm/", "locks, logs and notes, private to you; XDG_STATE_HOME moves it"),
    ("~/.local/share/agentvm/shims/", "what `agentvm install-shims` writes, if no other directory is named"),
    (
        "~/.cache/agentvm/",
        "the unpacked program, made anew when it is missing (macOS: ~/Library/Caches); XDG_CACHE_HOME moves it",
    ),
    ("~/.lima/", "the VMs, as Lima keeps them; LIMA_HOME moves it"),
    ("agentvm.json", "in a VM's directory there: the label that says whose it is and what it shares"),
)


def _start() -> Page:
    return (
        "Lima has to be there (`brew install lima`). Then, in a project:",
        Rows(
            "",
            (
                ("agentvm doctor", "is all there that is needed?"),
                (
                    "agentvm codex",
                    "Codex in this project's VM; the first time, making the base and the VM takes minutes",
                ),
                ("agentvm status", "what became of it, and what it shares"),
                ("agentvm shell", "a shell beside the agent"),
                ("agentvm stop", "when you need the memory; the next run starts it again"),
                ("agentvm rm", "when something in it went wrong: the next run makes a new one"),
            ),
            code=True,
        ),
        "claude and opencode go the same way. To type just `codex`: `agentvm install-shims`.",
    )


def _projects() -> Page:
    return (
        (
            "A project is the work tree of git that holds the current directory, or else that directory. It has one VM, which the "
            "first run makes, and which stays until `agentvm rm`. Everything in the work tree uses the same VM."
        ),
        (
            "The VM sees the project at the same path, writable. A directory that is too much (your home, /, /tmp and the like) is "
            "refused: go to one that the agent may have."
        ),
        "What an agent installs goes on the VM's own disk and stays there from run to run. Several sessions may run in one VM.",
        (
            "Names are the prefix, the directory's name and a hash of its path, as in agentvm-shop-1a2b3c4d; `agentvm list` has "
            "them. A linked work tree is a project of its own, with the git directory of its repository."
        ),
    )


def _sharing() -> Page:
    return (
        "Nothing of your home is in a VM but this:",
        Rows(
            "Shared as they are, at the same path",
            (
                ("the project", "writable"),
                ("~/.claude, ~/.codex", "writable: settings, sessions and logins of the agents"),
                ("~/.config/opencode", "writable, and the login of opencode"),
                ("~/.config/gh", "read-only (AGENTVM_MOUNT_GH_CONFIG)"),
                ("~/.ssh", "only with AGENTVM_MOUNT_SSH=1, read-only"),
                ("[[mounts]]", "what config.toml lists; read-only unless it says rw"),
            ),
        ),
        Rows(
            "Copied at each run; nothing comes back",
            (
                ("~/.gitconfig", "what works in a VM (AGENTVM_MOUNT_GITCONFIG)"),
                ("~/.git-credentials", "AGENTVM_MOUNT_GIT_CREDENTIALS"),
                ("~/.claude.json", "what concerns this project, and answers that you gave"),
            ),
        ),
        Rows(
            "Variables",
            (
                ("of the providers", "keys and addresses, for the agent whose they are"),
                ("of your surroundings", "gh's token, proxies, language, time zone, terminal"),
                ("pass_env", "what config.toml lists"),
            ),
        ),
        (
            "`localhost` in a proxy or an address becomes the name under which a VM reaches your computer. A server that listens on "
            "127.0.0.1 in the VM answers on the same port of your computer."
        ),
        "`agentvm status` shows the mounts of this project, and `agentvm help security` what follows from them.",
    )


def _security() -> Page:
    return (
        (
            "An agent in a VM is root there. It can't read or write your files outside the shared directories, can't see your "
            "processes, and can't stop your computer from working. But it can:"
        ),
        Rows(
            "",
            (
                (
                    "change the project",
                    "also .git/hooks and build files, which your own computer may run: look before you do",
                ),
                ("change agents' settings", "a hook or MCP server there is started by your own agent the next time"),
                ("use the logins it sees", "the agents', gh's token, ~/.git-credentials"),
                ("use the network", "your local one too, and services on your computer's loopback interface"),
            ),
        ),
        "AGENTVM_SSH_AGENT=1 lends your keys while a session runs; AGENTVM_MOUNT_SSH=1 lets the agent copy them.",
        "Settings are read from your environment and your home only: nothing that is in a project can change them.",
    )


def _base() -> Page:
    return (
        (
            "The base is a VM that is made once and provisioned from a manifest: apt-packages.txt, and scripts/*.sh, which root runs "
            "in order. A snapshot of it never starts; a project's VM is a clone of the newest, and has all of it at once."
        ),
        (
            "To have something in every new VM, copy the manifest, name your copy in AGENTVM_BASE_MANIFEST_DIR, change it, and run "
            "`base apply`, then `base snapshot`. VMs that are there already stay as they are and say that they are older; `agentvm "
            "rm`, and the next run makes that one anew."
        ),
    )


def _settings() -> Page:
    from agentvm.settings import SETTINGS

    rows = ((s.variable, s.help + (f" ({s.default})" if s.default else "")) for s in SETTINGS)
    return (
        (
            "A setting is a variable of the environment, which comes first, or the same name in lower case and without AGENTVM_ in "
            "~/.config/agentvm/config.toml. There is no file in the project, since the guest could write it."
        ),
        (
            "Toggles are 1 0 true false yes no on off; sizes are like 8GiB. A change reaches a VM at its next run, and its disk is "
            "kept."
        ),
        Rows("Settings (and what holds without them)", rows),
        Rows(
            "Lists, in config.toml alone",
            (
                ("pass_env", 'variables that every VM gets: pass_env = ["NPM_TOKEN", "AWS_*"]'),
                ("[[mounts]]", 'below it path = "~/data", and mode = "rw" if it shall be writable'),
            ),
        ),
    )


def _files() -> Page:
    return (Rows("", FILES), "`agentvm settings` shows which config.toml counts.")


def _exit_status() -> Page:
    return (
        (
            "Of a program in a VM: its own, and 128 + n when signal n ended it; 255 may also mean that the connection was lost. Of "
            "agentvm itself:"
        ),
        Rows("", EXIT_STATUSES),
        "Standard output has what was asked for and nothing else, standard error the conversation.",
    )


def _json() -> Page:
    from agentvm.commands.schemas import SCHEMAS

    return (
        (
            "With --json these commands print one object. Keys may be added; when one changes or goes, `schema`, which is a number, "
            "grows. What is not known is null."
        ),
        *(Rows(f"{schema.title} (schema {schema.version})", schema.keys) for schema in SCHEMAS),
    )


TOPICS = {
    topic.name: topic
    for topic in (
        Topic("start", "the first ten minutes", _start),
        Topic("projects", "which directory gets which VM", _projects),
        Topic("sharing", "what a VM sees of your computer", _sharing),
        Topic("security", "what an agent in a VM can do, and what not", _security),
        Topic("base", "what new VMs are cloned from", _base),
        Topic("settings", "variables and config.toml", _settings),
        Topic("files", "where agentvm keeps what", _files),
        Topic("exit-status", "what the exit statuses mean", _exit_status),
        Topic("json", "what --json prints", _json),
    )
}
