"""The session script: POSIX shell text that makes the guest ready for one program and then runs it.

It is a pure function of its values and knows nothing of the backend, so a test runs it under a real sh with a home of
its own. It travels in the environment variable AGENTVM_SESSION, and nothing of it is ever on a command line.
"""

from __future__ import annotations

from typing import NamedTuple

from agentvm.agents import NPM_PREFIX, Agent
from agentvm.digest import sha256
from agentvm.errors import UsageError
from agentvm.quoting import join, quote
from agentvm.sharing import Link, Sharing, SyncedFile

VARIABLE = "AGENTVM_SESSION"
STARTER = (
    f'exec /bin/sh -c \'[ "${VARIABLE}" ] || '
    "{ echo agentvm: the sshd of this VM does not take sessions, run agentvm base apply >&2; exit 1; }; "
    f'eval "${VARIABLE}"\''
)
"""The command line that runs the script, whatever the guest user's own shell is."""
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


def build_script(sharing: Sharing, program: Program, attachment: Attachment) -> str:
    """The whole script. Raises UsageError when it is too large to travel, which only long arguments can make it."""
    parts = [
        _FUNCTIONS,
        _LINK_KEYS if sharing.keys_shared else "",
        _PUT if any(file.content is not None for file in sharing.files) else "",
        _INSTALL if program.agent else "",
        *(f"link {quote(link.target)} {quote(link.path)}" for link in sharing.links),
        *(f"unlink_from {quote(link.target)} {quote(link.path)}" for link in sharing.unlinked),
        _keys(sharing.keys, sharing.keys_shared),
        *(_synced(file) for file in sharing.files),
        *(f"export {name}={quote(value)}" for name, value in program.environment),
        *_agent(program),
        f"cd {quote(program.directory)} || die 'the directory is not there in this VM'",
        _run(program, attachment),
    ]
    script = "\n".join(filter(None, parts)) + "\n"
    if len(script.encode(errors="surrogateescape")) > LARGEST_SCRIPT:
        raise UsageError(
            "The arguments and the copied files are too long to send into the VM together.",
            f"They may have some {LARGEST_SCRIPT // 1000} kB; put a long prompt into a file of the project.",
        )
    return script


def signal_script(token: str, name: str) -> str:
    """Shell text that sends a signal ("INT") to every process of a session without a terminal."""
    return f'read -r group <"$HOME/.local/state/agentvm/run/{token}" && kill -s {name} -- "-$group"'


def _keys(keys: Link, shared: bool) -> str:
    return f"{'link_keys' if shared else 'unlink_keys'} {quote(keys.target)} {quote(keys.path)}"


def _synced(file: SyncedFile) -> str:
    if file.content is None:
        return f"drop {quote(file.path)}"
    digest = sha256(file.content.encode(errors="surrogateescape"))
    return f"put {quote(file.path)} {digest} {quote(file.content)}"


def _value(value: str) -> str:
    return f'"$HOME"/{quote(value[2:])}' if value.startswith("~/") else quote(value)


def _agent(program: Program) -> list[str]:
    agent = program.agent
    if agent is None:
        return []
    lines = [f"export {name}={_value(value)}" for name, value in agent.guest_environment]
    lines += [f'[ -d "$HOME"/{quote(path)} ] || mkdir -p "$HOME"/{quote(path)}' for path in agent.directories]
    return [*lines, _ensure(agent, program)]


def _ensure(agent: Agent, program: Program) -> str:
    """The check is a few tests of the shell's own; all else happens once in a VM's life."""
    name = quote(agent.name)
    if program.skip_install:
        text = f"{agent.name} is not in this VM, and AGENTVM_SKIP_AUTO_INSTALL forbids to install it"
        return f"installed {name} || {{ say {quote(text)}; exit 127; }}"
    if program.install:
        how = f"custom_install {name} {quote(program.install)}"
    elif agent.package:
        how = f"npm_install {name} {quote(agent.package)} {quote(agent.completion)}"
    else:
        how = f"apt_install {name}"
    return f"installed {name} || once {name} {how} || exit 1"


def _run(program: Program, attachment: Attachment) -> str:
    words = join(program.argv) if program.argv else '"${SHELL:-/bin/sh}" -l'
    if not attachment.terminal:
        return _RUN_PIPED.format(token=attachment.token, words=words)
    if not program.argv:
        return f"exec {words}"
    marker = quote(attachment.suspended.replace("\\", "\\\\").replace("\033", "\\033"))
    return _RUN_TERMINAL.format(marker=marker, words=words)


# The names of packages whose install scripts npm 12 must be allowed to run; older ones ignore the option.
_ALLOWED = "@anthropic-ai/claude-code,opencode-ai"

_FUNCTIONS = f"""\
unset {VARIABLE}
state=$HOME/.local/state/agentvm npm=$HOME/{NPM_PREFIX}
PATH=$npm/bin:$HOME/.local/bin:$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH AGENTVM_GUEST=1
say() {{ printf 'agentvm: %s\\n' "$1" >&2; }}
die() {{ say "$1"; exit 1; }}
link() {{
    path=$HOME/$2
    [ "$path" -ef "$1" ] && return
    if [ -h "$path" ]; then
        rm -f "$path"
    elif [ -e "$path" ] && ! rmdir "$path" 2>/dev/null; then
        aside=$path.guest-$(date +%Y%m%d-%H%M%S)
        mv "$path" "$aside" && say "the VM's own ~/$2 is now $aside"
    fi
    # Another session may have made it just now: -n keeps this one from being made inside the shared directory.
    mkdir -p "${{path%/*}}" && ln -sfn "$1" "$path"
}}
unlink_from() {{ [ -h "$HOME/$2" ] && [ "$(readlink "$HOME/$2")" = "$1" ] && rm -f "$HOME/$2"; }}
unlink_keys() {{
    for file in "$HOME/$2"/* "$HOME/$2"/.[!.]*; do
        [ -h "$file" ] || continue
        [ -n "${{3-}}" ] && [ -e "$file" ] && continue
        case $(readlink "$file") in "$1"/*) rm -f "$file" ;; esac
    done
}}
drop() {{
    path=$HOME/$1 kept=$state/synced/$1
    [ -e "$kept" ] || return 0
    if cmp -s "$kept" "$path"; then
        rm -f "$path"
    elif [ -e "$path" ]; then
        say "~/$1 was changed in this VM since it was copied; it stays there"
    fi
    rm -f "$kept" "$kept.sum"
}}"""

# Each of these is only sent when something calls it: the guest's sh reads every byte at every start.

_LINK_KEYS = """\
link_keys() {
    unlink_keys "$1" "$2" gone
    [ -d "$HOME/$2" ] || mkdir -m 700 "$HOME/$2"
    for file in "$1"/* "$1"/.[!.]*; do
        name=${file##*/}
        case $name in authorized_keys* | environment | rc) continue ;; esac
        [ ! -e "$file" ] || [ -e "$HOME/$2/$name" ] || ln -s "$file" "$HOME/$2/$name"
    done
}"""

_PUT = """\
put() {
    path=$HOME/$1 kept=$state/synced/$1 digest=
    [ -f "$kept.sum" ] && read -r digest <"$kept.sum"
    [ "$digest" = "$2" ] && cmp -s "$kept" "$path" && return
    if [ -e "$path" ] || [ -h "$path" ]; then
        if [ ! -e "$kept" ]; then
            say "~/$1 is this VM's own and stays; remove it there to have the host's"
            return
        elif ! cmp -s "$kept" "$path"; then
            mv -f "$path" "$path.guest" && say "~/$1 was changed in this VM; its version is now ~/$1.guest"
        fi
    fi
    (
        umask 077
        new=$kept.$$
        mkdir -p "$state/synced" && rm -f "$kept.sum" && printf '%s' "$3" >"$new" &&
            cp "$new" "$new.copy" && mv -f "$new" "$kept" && mv -f "$new.copy" "$path" &&
            printf '%s\\n' "$2" >"$kept.sum"
    ) || say "~/$1 could not be written in this VM"
}"""

_INSTALL = f"""\
installed() {{
    if [ -x "$npm/bin/$1" ]; then [ -e "$state/proved/$1" ]; else command -v "$1" >/dev/null; fi
}}
once() {{
    name=$1
    shift
    mkdir -p "$state/proved" || return
    (
        command -v flock >/dev/null && flock 9
        installed "$name" && exit
        "$@" </dev/null >&2 9>&-
    ) 9>"$state/install.lock"
}}
npm_install() {{
    command -v npm >/dev/null || die "npm is not in this VM, so $1 can't be installed; add it to the base's manifest"
    say "installing $2 with npm, once for this VM"
    npm install -g --prefix "$npm" --no-audit --no-fund --loglevel=error --allow-scripts={_ALLOWED} "$2@latest" ||
        die "npm could not install $2 (see above); the next run tries again"
    "$npm/bin/$1" --version >/dev/null 2>&1 ||
        {{ [ -n "$3" ] && (cd "$npm/lib/node_modules/$2" && node "$3") && "$npm/bin/$1" --version; }} ||
        die "$2 was installed, but '$1 --version' does not run; the next run tries again"
    : >"$state/proved/$1"
}}
apt_install() {{
    say "installing $1 with apt, once for this VM"
    sudo -n apt-get update -qq && sudo -n env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$1" &&
        command -v "$1" >/dev/null || die "$1 could not be installed (see above); the next run tries again"
}}
custom_install() {{
    say "installing $1 with the command of the settings, once for this VM"
    /bin/sh -c "$2" || die "the command to install $1 failed with status $?"
    hash -r
    command -v "$1" >/dev/null || die "the command to install $1 ended well, but there is no $1 on the VM's PATH ($PATH)"
    [ ! -x "$npm/bin/$1" ] || : >"$state/proved/$1"
}}"""

# A shell stays as the parent, so that a program that a signal ended gives 128 + its number and not ssh's 255.
# Until that starts, a signal ends the shell: ignored, it would be lost. The file with its process id is removed by a
# later session, a few dozen at once: `rm` is a process, and this one only needs the shell's own commands.
_RUN_PIPED = """\
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
[ -d "$state/run" ] || mkdir -p "$state/run"
echo $$ >"$state/run/{token}"
set -- "$state"/run/*
[ $# -lt 64 ] || for file; do
    read -r pid <"$file"
    kill -0 "$pid" 2>/dev/null || rm -f "$file"
done
trap : HUP INT QUIT TERM
{words}
exit $?"""

# With job control of its own the shell learns that Ctrl-Z stopped the program; the host then suspends agentvm, and
# sends a line when it was resumed. The shell's own remarks ("[1] + Stopped") are not the user's business. bash as sh
# does not hand the terminal back on `fg`, so there Ctrl-Z does what ssh makes of it.
_RUN_TERMINAL = """\
trap : INT QUIT
[ -n "${{BASH_VERSION-}}" ] || set -m
exec 3>&2 2>/dev/null
{words} 2>&3 3>&-
status=$?
while [ $status -gt 128 ] && jobs %% >/dev/null; do
    modes=$(stty -g)
    stty sane -echo
    printf {marker}
    read -r _
    stty "$modes"
    fg %% >/dev/null
    status=$?
done
exit $status"""
