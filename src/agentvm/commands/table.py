"""All commands, once: their names, options and help, and where each lives. Help, the reading of arguments, completions, the
man page and the reference are made from this table. A command's module is imported when it runs.

To add a command, add a row; tests hold every row to having its parts.
"""

from __future__ import annotations

from agentvm.commands.entry import (
    AFTER_DASHES,
    AFTER_OPERAND,
    AGENT,
    AT_ONCE,
    DIRECTORY,
    FILE,
    INSTANCE,
    PAGE,
    SHELL,
    CommandEntry,
    Operand,
    Option,
)

SHELLS = ("bash", "zsh", "fish")


def _program(name: str, summary: str, *details: str, examples: tuple[tuple[str, str], ...]) -> CommandEntry:
    return CommandEntry(
        name,
        summary,
        "run:run_program",
        details=details,
        examples=examples,
        passes_on=AT_ONCE,
        rest="[args…]",
        program=name,
    )


_HOME = "It has the settings and the login of your own {name}; `agentvm help sharing` tells what it sees."
_OWN = "All that follows the name is {name}'s own, `--help` too. The exit status is {name}'s own."

_NAMED = Operand("INSTANCE", "a VM by its name, as `agentvm list` shows it; without it this project's", INSTANCE, True)
_AGENT = Operand("AGENT", "claude, codex or opencode", AGENT)
_JSON = Option("--json", "the same for programs; `agentvm help json` tells the keys")
_DRY_RUN = Option("--dry-run", "say what would be done to VMs, and do nothing")
_AGE = "90m, 2h, 30d or 1w"
_END_SESSIONS = Option("--force", "also when sessions run in it, which end")

GLOBAL_OPTIONS = (
    _DRY_RUN,
    Option("--quiet", "say only what goes wrong", short="-q"),
    Option("--verbose", "say more", short="-v"),
    Option("--version", "show the version", short="-V"),
    Option("--help", "show this, or with a command the help of that", short="-h"),
)

GROUPS = (
    (
        "Run in this project's VM",
        (
            _program(
                "claude",
                "Claude Code",
                _HOME.format(name="claude"),
                _OWN.format(name="claude"),
                examples=(
                    ("agentvm claude", "a session in this project"),
                    ("agentvm claude -p 'explain this repository'", "one answer, for a script"),
                    ("AGENTVM_YOLO=1 agentvm claude", "without asking for permissions"),
                ),
            ),
            _program(
                "codex",
                "Codex CLI",
                _HOME.format(name="codex"),
                _OWN.format(name="codex"),
                examples=(
                    ("agentvm codex", "a session in this project"),
                    ("agentvm codex exec 'fix the tests'", "one task, for a script"),
                    ("agentvm codex --help", "Codex's own help"),
                ),
            ),
            _program(
                "opencode",
                "opencode",
                _HOME.format(name="opencode"),
                _OWN.format(name="opencode"),
                examples=(
                    ("agentvm opencode", "a session in this project"),
                    ("agentvm opencode run 'fix the tests'", "one task, for a script"),
                ),
            ),
            CommandEntry(
                "run",
                "an agent by its name",
                "run:run_agent",
                details=("For scripts that get the agent's name from somewhere.",),
                operands=(_AGENT,),
                examples=(("agentvm run codex --version", "the same as `agentvm codex --version`"),),
                passes_on=AFTER_OPERAND,
                rest="[args…]",
            ),
            _program(
                "gh",
                "GitHub's command line",
                "It is logged in as on your computer. `gh auth login` is done there, once for all VMs.",
                _OWN.format(name="gh"),
                examples=(("agentvm gh pr list", "the pull requests of this project"),),
            ),
            CommandEntry(
                "shell",
                "a login shell, or one command",
                "run:run_shell",
                details=(
                    (
                        "Without a command, a shell in the directory where you are. With one, exactly that program: words are "
                        "handed over as they are, streams are the program's own, and so is the exit status."
                    ),
                ),
                examples=(
                    ("agentvm shell", "look around beside the agent"),
                    ("agentvm shell -- make test", "one command"),
                    ("agentvm shell -- sh -c 'ls *.py | wc -l'", "a line of shell"),
                ),
                passes_on=AFTER_DASHES,
                rest="[-- command…]",
            ),
            CommandEntry(
                "login",
                "the agent's own login, inside the VM",
                "login:login",
                details=(
                    (
                        "Needed only where a login can't come along from your computer, as with a Mac's Keychain; "
                        "`agentvm doctor` tells. What follows the agent's name goes to its login command."
                    ),
                ),
                operands=(_AGENT,),
                examples=(
                    ("agentvm login claude", "shows an address to open in your browser"),
                    ("agentvm login codex --device-auth", "with a code, when a browser's answer can't come back"),
                ),
                passes_on=AFTER_OPERAND,
                rest="[args…]",
            ),
            CommandEntry(
                "update",
                "newest versions of the agents in this VM",
                "update:update",
                details=(
                    "Agents don't update themselves in a VM. Without names, those that are installed are updated.",
                ),
                operands=(
                    Operand(
                        "AGENT", "one to update; it is installed if it is missing", AGENT, optional=True, many=True
                    ),
                ),
                options=(Option("--base", "in the working base; new VMs have it after `agentvm base snapshot`"),),
                examples=(
                    ("agentvm update", "all that this VM has"),
                    ("agentvm update --base claude codex", "for VMs to come"),
                ),
            ),
        ),
    ),
    (
        "Look after the VMs",
        (
            CommandEntry(
                "status",
                "this project's VM and what it shares",
                "status:status",
                options=(_JSON,),
                examples=(
                    ("agentvm status", "its state, base, mounts, agents and sessions"),
                    ("agentvm status --json | jq -r .instance", "the VM's name"),
                ),
            ),
            CommandEntry(
                "list",
                "all VMs",
                "listing:list_instances",
                options=(_JSON, Option("--all-prefixes", "also those of other prefixes")),
                examples=(
                    ("agentvm list", "VMs of projects, the base and its snapshot"),
                    ("agentvm list --json | jq -r '.instances[].name'", "their names"),
                ),
            ),
            CommandEntry(
                "review",
                "what VMs changed of that which this computer runs",
                "review:review",
                details=(
                    "Hooks and settings of git, tasks of editors, settings of agents: what was reported and is not accepted yet.",
                    "The exit status is 0 when nothing is left to decide of what was asked for, else 1. Nothing is asked.",
                ),
                operands=(
                    Operand(
                        "PATH", "only what is there or below; without one all of it", FILE, optional=True, many=True
                    ),
                ),
                options=(
                    Option("--restore", "put back what was there, and keep what it replaces"),
                    Option("--accept", "take as known what was shown"),
                    _JSON,
                ),
                examples=(
                    ("agentvm review", "what changed, and what would have run it"),
                    ("agentvm review --restore .git/hooks", "put the hooks back"),
                    ("agentvm review --accept", "all of it is well"),
                ),
            ),
            CommandEntry(
                "stop",
                "stop a VM; its disk is kept",
                "remove:stop",
                details=("The next run starts it again.",),
                operands=(_NAMED,),
                options=(
                    _END_SESSIONS,
                    Option("--idle", f"all VMs of projects that had no session for so long, like {_AGE}", "TIME"),
                ),
                examples=(
                    ("agentvm stop", "this project's"),
                    ("agentvm stop --force", "even if an agent works in it"),
                    ("agentvm stop --idle 2h", "those that nobody uses"),
                ),
            ),
            CommandEntry(
                "rm",
                "delete a VM with its disk",
                "remove:remove",
                details=(
                    (
                        "What was written outside the shared directories is gone; the project itself is on your computer and "
                        "stays. The next run makes a new VM from the newest base."
                    ),
                ),
                operands=(_NAMED,),
                options=(_END_SESSIONS,),
                examples=(("agentvm rm", "this project's"), ("agentvm --dry-run rm", "what that would do")),
            ),
            CommandEntry(
                "prune",
                "delete stopped VMs, and those of vanished projects",
                "remove:prune",
                details=("The base, its snapshot, VMs with sessions and VMs of others are left alone.",),
                options=(Option("--older-than", f"only what nobody used for so long, like {_AGE}", "TIME"), _DRY_RUN),
                examples=(
                    ("agentvm prune --dry-run", "what would go"),
                    ("agentvm prune", "delete them"),
                    ("agentvm prune --older-than 30d", "only those that were long out of use"),
                ),
            ),
            CommandEntry(
                "adopt",
                "take over the VM of this project's old directory",
                "adopt:adopt",
                details=(
                    (
                        "For a project that moved: its VM belongs to the path that is gone. Without a name the one VM is taken "
                        "whose project is gone and was called like this one."
                    ),
                ),
                operands=(Operand("INSTANCE", "the VM of the old directory", INSTANCE, optional=True),),
                examples=(("agentvm adopt", "in the new directory"),),
            ),
            CommandEntry(
                "rebase",
                "a new VM from the newest base, the home kept",
                "rebase:rebase",
                details=("What was installed or changed outside of the home directory is lost, like packages of apt.",),
                options=(_END_SESSIONS,),
                examples=(("agentvm base snapshot && agentvm rebase", "have the base's changes in this project"),),
            ),
            CommandEntry(
                "cp",
                "copy files to or from a VM",
                "copy:copy",
                details=(
                    (
                        "The last path is the target. `vm:PATH` is in this project's VM and `NAME:PATH` in another; what is "
                        "relative there begins at the home directory. Nothing that comes out of a VM gets outside the target."
                    ),
                ),
                operands=(Operand("PATH", "a file, of this computer or of a VM", many=True),),
                options=(Option("--recursive", "directories with what is in them", short="-r"),),
                examples=(
                    ("agentvm cp report.csv vm:", "into its home directory"),
                    ("agentvm cp -r vm:out/pages ./pages", "a directory, from this project's VM"),
                ),
            ),
            CommandEntry(
                "port",
                "what a VM listens on, and where it is reached",
                "port:port",
                operands=(_NAMED,),
                options=(_JSON,),
                examples=(("agentvm port", "address, port, program, and the way to it or why there is none"),),
            ),
            CommandEntry(
                "ssh-config",
                "have ssh, scp and editors know the VMs",
                "editors:ssh_config",
                details=(
                    (
                        "Prints a configuration for ssh with the names of all VMs. Installed, it is one line in ~/.ssh/config, "
                        "and is kept up as VMs come and go."
                    ),
                ),
                options=(
                    Option("--install", "keep it in a file, and include that in ~/.ssh/config"),
                    Option("--connect", "for ssh's own use: be its connection to a VM", "INSTANCE", completes=INSTANCE),
                ),
                examples=(("agentvm ssh-config --install", "then `ssh agentvm-PROJECT`"),),
            ),
            CommandEntry(
                "doctor",
                "look for problems",
                "doctor:doctor",
                details=(
                    (
                        "Looks at Lima, the base, this project, and what each agent needs, and says what mends it. Knows most "
                        "while the project's VM runs. The exit status is 1 when something is broken."
                    ),
                ),
                options=(
                    _JSON,
                    Option("--fix", "do what is harmless: remove what killed runs left, make our directories private"),
                ),
                examples=(("agentvm doctor", "before you ask for help"), ("agentvm doctor --fix", "clear up first")),
            ),
            CommandEntry(
                "install-shims",
                "make claude, codex and opencode run in VMs",
                "shims:install_shims",
                details=(
                    (
                        "Writes programs of these names, which start agentvm. Put their directory first on the PATH, as the "
                        "command then tells. `AGENTVM_BYPASS=1 claude` still runs the program of your computer."
                    ),
                ),
                operands=(Operand("DIR", "where to; else ~/.local/share/agentvm/shims", DIRECTORY, optional=True),),
                options=(Option("--force", "overwrite files that are not agentvm's"),),
                examples=(("agentvm install-shims", "then plain `codex` runs in a VM"),),
            ),
            CommandEntry(
                "uninstall",
                "remove shims, state and ssh configuration",
                "uninstall:uninstall",
                details=(
                    (
                        "It shows what it is about to remove, and asks. Your config.toml stays, and so does what agents keep in "
                        "your home. While a session runs, nothing is removed."
                    ),
                ),
                options=(
                    Option("--vms", "every VM of this prefix, too, with its disk"),
                    Option("--yes", "do it without asking"),
                    _DRY_RUN,
                ),
                examples=(
                    ("agentvm uninstall --vms --dry-run", "all that it would remove"),
                    ("agentvm uninstall", "leave the VMs, for another agentvm"),
                ),
            ),
        ),
    ),
    (
        "The base that new VMs are cloned from",
        (
            CommandEntry(
                "base",
                "make, change and save the base",
                "base:base",
                parts=(
                    CommandEntry("base init", "make the base and its first snapshot; the first run does it too"),
                    CommandEntry("base apply", "run the manifest in the working base"),
                    CommandEntry("base shell", "a shell in the working base"),
                    CommandEntry(
                        "base snapshot",
                        "new VMs are cloned from what the working base is now",
                        options=(_END_SESSIONS,),
                    ),
                    CommandEntry("base reset", "the working base is the last snapshot again", options=(_END_SESSIONS,)),
                ),
                examples=(
                    ("agentvm base apply && agentvm base snapshot", "after a change of the manifest"),
                    ("agentvm base shell", "look around, or try something"),
                ),
            ),
        ),
    ),
    (
        "Know more",
        (
            CommandEntry(
                "help",
                "explain a command or a topic",
                "explain:explain",
                operands=(
                    Operand("PAGE", "a command or a topic", PAGE, optional=True),
                    Operand("PART", "one of the command's own commands, as in `agentvm help base init`", optional=True),
                ),
                options=(Option("--man", "the whole manual in the form that man reads"),),
                examples=(
                    ("agentvm help sharing", "what a VM sees of your computer"),
                    ("agentvm help codex", "agentvm's own help; `agentvm codex --help` is Codex's"),
                    ("agentvm help --man | man -l -", "the manual; on macOS `| mandoc | less`"),
                ),
                early=True,
            ),
            CommandEntry(
                "settings",
                "every setting, its value and where that is from",
                "preferences:show_settings",
                options=(_JSON,),
                examples=(
                    ("agentvm settings", "what holds here and now"),
                    ("AGENTVM_CPUS=8 agentvm settings", "what would hold then"),
                ),
            ),
            CommandEntry(
                "completion",
                "a script that completes command lines",
                "completion:completion",
                details=(
                    (
                        "The script knows this version's commands; after an upgrade make it anew, or let the shell's start-up "
                        "file do so each time. It asks agentvm for nothing but the names of VMs."
                    ),
                ),
                operands=(Operand("SHELL", "bash, zsh or fish", SHELL),),
                examples=(
                    ('eval "$(agentvm completion bash)"', "a line for ~/.bashrc"),
                    ('eval "$(agentvm completion zsh)"', "a line for ~/.zshrc, after `compinit`"),
                    ("agentvm completion fish | source", "a line for ~/.config/fish/config.fish"),
                ),
                early=True,
            ),
        ),
    ),
)

COMMANDS = {command.name: command for _, commands in GROUPS for command in commands}
AGENTS = tuple(name for name, command in COMMANDS.items() if command.program and name != "gh")


def choices(kind: str) -> tuple[str, ...]:
    """The words that an operand or value of this kind can be, where the table knows them all; else none."""
    return {AGENT: AGENTS, SHELL: SHELLS}.get(kind, ())


def find_command(name: str) -> CommandEntry:
    """The command of that name; else UsageError with the nearest one."""
    if name in COMMANDS:
        return COMMANDS[name]
    from agentvm.errors import UsageError, nearest

    raise UsageError(f"There is no command {name!r}.{nearest(name, COMMANDS)}", "`agentvm --help` shows all of them.")


def find_part(command: CommandEntry, name: str) -> CommandEntry:
    """One of a command's own commands; else UsageError with the nearest one."""
    if part := command.part(name):
        return part
    from agentvm.errors import UsageError, nearest

    names = [part.name.rpartition(" ")[2] for part in command.parts]
    hint = f"There are {', '.join(names)}." if names else f"`agentvm {command.name} --help` shows how to use it."
    raise UsageError(f"`agentvm {command.name}` has no command {name!r}.{nearest(name, names)}", hint)
