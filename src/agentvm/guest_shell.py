"""The shell functions of the session script. POSIX sh; each group is only sent when something calls it, since the guest's sh
reads every byte at every start. What a warm run calls uses the shell's own commands and starts no process if it can.
"""

from __future__ import annotations

from agentvm.agents import NPM_PREFIX
from agentvm.digest import sha256
from agentvm.quoting import quote

VARIABLE = "AGENTVM_SESSION"
TOOLS_DIRECTORY = ".local/share/agentvm/bin"
"""Below the guest's home: small programs of ours that stand before others on the PATH."""

# The names of packages whose install scripts npm 12 must be allowed to run; older ones ignore the option.
_ALLOWED = "@anthropic-ai/claude-code,opencode-ai"

SSH_CONFIG_MARK = "# Made by agentvm, which makes it anew when it is gone."

FUNCTIONS = f"""\
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
    [ -n "${{3-}}" ] || ! our_ssh_config "$HOME/$2/config" || rm -f "$HOME/$2/config"
}}
our_ssh_config() {{ [ -f "$1" ] && [ ! -h "$1" ] && read -r line <"$1" && [ "$line" = '{SSH_CONFIG_MARK}' ]; }}
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

# Of ssh's configuration the first value counts. A Mac's has options that other builds of ssh refuse (UseKeychain), an
# agent's socket that is not here (1Password), and sockets of shared connections in a directory that can't be written.
LINK_KEYS = """\
link_keys() {
    unlink_keys "$1" "$2" gone
    [ -d "$HOME/$2" ] || mkdir -m 700 "$HOME/$2"
    for file in "$1"/* "$1"/.[!.]*; do
        name=${file##*/}
        case $name in
            authorized_keys* | environment | rc) ;;
            config) [ ! -f "$file" ] || ssh_config "$file" "$HOME/$2/config" ;;
            *) [ ! -e "$file" ] || [ -e "$HOME/$2/$name" ] || ln -s "$file" "$HOME/$2/$name" ;;
        esac
    done
}
ssh_config() {
    [ ! "$1" -ef "$2" ] || rm -f "$2"
    [ -e "$2" ] || (umask 077 && printf '%s\\n' '@MARK@' \
        'IgnoreUnknown *' 'IdentityAgent SSH_AUTH_SOCK' 'ControlMaster no' 'ControlPath none' "Include \\"$1\\"" >"$2")
}""".replace("@MARK@", SSH_CONFIG_MARK)

# What an agent finds in its usual place is a link, so another AGENTVM_CONFIG is another link, and nothing is lost.
OWN = """\
own() {
    [ -d "$state/$1" ] || (umask 077 && mkdir -p "$state/$1")
    link "$state/$1" "$2"
}"""

PUT = """\
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

INSTALL = f"""\
installed() {{
    if [ -x "$npm/bin/$1" ]; then [ -e "$state/proved/$1" ]; else command -v "$1" >/dev/null; fi
}}
once() {{
    name=$1
    shift
    alone again "$name" "$@"
}}
again() {{
    installed "$1" && exit
    shift
    "$@"
}}
alone() {{
    mkdir -p "$state/proved" || return
    (
        command -v flock >/dev/null && flock 9
        "$@" </dev/null >&2 9>&-
    ) 9>"$state/install.lock"
}}
prove() {{
    said=$("$2" --version 2>/dev/null) && printf '%s\\n' "$said" >"$state/proved/$1.$$" &&
        mv -f "$state/proved/$1.$$" "$state/proved/$1"
}}
measure() {{
    ticks=0
    while sleep 2 2>/dev/null && [ -e "$1" ] && kill -0 $$ 2>/dev/null; do
        ticks=$((ticks + 1))
        [ -t 2 ] || [ $((ticks % 10)) = 0 ] || continue
        size=$(du -smc "$npm" "$HOME/.npm/_cacache/tmp" 2>/dev/null | tail -n 1 | cut -f 1)
        [ -e "$1" ] || break
        if [ -t 2 ]; then printf '\\r\\033[Kagentvm: %s MB so far' "$size"; else printf 'agentvm: %s MB so far\\n' "$size"; fi >&2
    done
}}
npm_install() {{
    command -v npm >/dev/null || die "npm is not in this VM, so $1 can't be installed; add it to the base's manifest"
    say "installing $2 with npm"
    mark=$state/proved/.installing.$$
    : >"$mark"
    measure "$mark" &
    npm install -g --prefix "$npm" --no-progress --no-audit --no-fund --loglevel=error --allow-scripts={_ALLOWED} "$2@latest"
    status=$?
    rm -f "$mark"
    [ ! -t 2 ] || printf '\\r\\033[K' >&2
    [ "$status" = 0 ] || die "npm could not install $2 (see above); the next run tries again"
    prove "$1" "$npm/bin/$1" ||
        {{ [ -n "$3" ] && (cd "$npm/lib/node_modules/$2" && node "$3") && prove "$1" "$npm/bin/$1"; }} ||
        die "$2 was installed, but '$1 --version' does not run; the next run tries again"
}}
apt_install() {{
    say "installing $1 with apt, once for this VM"
    sudo -n apt-get update -qq && sudo -n env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$1" &&
        command -v "$1" >/dev/null || die "$1 could not be installed (see above); the next run tries again"
}}
custom_install() {{
    say "installing $1 with the command of the settings"
    /bin/sh -c "$2" || die "the command to install $1 failed with status $?"
    hash -r
    command -v "$1" >/dev/null || die "the command to install $1 ended well, but there is no $1 on the VM's PATH ($PATH)"
    prove "$1" "$(command -v "$1")" || [ ! -x "$npm/bin/$1" ] || : >"$state/proved/$1"
}}"""

UPDATE = """\
version() { [ -e "$state/proved/$1" ] && read -r line <"$state/proved/$1" && printf '%s' "$line"; }
update() {
    name=$1 updated=yes
    shift
    before=$(version "$name")
    if alone "$@"; then
        after=$(version "$name")
        [ "$before" = "$after" ] && printf '%s is at %s\\n' "$name" "${after:-an unknown version}" ||
            printf '%s is at %s now%s\\n' "$name" "$after" "${before:+, it was at $before}"
    else
        prove "$name" "$(command -v "$name")" && say "$name stays at $(version "$name")"
        failed=1
    fi
}"""

_OPENER = """\
#!/bin/sh
# Made by agentvm, for programs that want a browser: this VM has none.
for url; do
    text="agentvm: open this in your browser: $url"
    if [ ! -t 2 ] && (: >/dev/tty) 2>/dev/null; then
        printf '\\r\\n%s\\r\\n' "$text" >/dev/tty
    else
        printf '%s\\n' "$text" >&2
    fi
done
"""

# npm dates what it installs to 1985, but the directory around it is new after each change.
_CODEX = """\
#!/bin/sh
# Made by agentvm. Codex's background server would put sockets and programs into the directory that is shared with the host,
# and its question at the start whether to update is for `agentvm update`.
flag=$HOME/.local/state/agentvm/codex.flag own=${0%/*} found=
IFS=:
for directory in $PATH; do
    [ "$directory" -ef "$own" ] || [ ! -x "$directory/codex" ] || { found=$directory/codex; break; }
done
unset IFS
[ "$found" ] || { echo 'codex: not found' >&2; exit 127; }
package=${found%/bin/codex}/lib/node_modules/@openai
[ -d "$package" ] || package=$found
if [ ! "$flag" -nt "$found" ] || [ ! "$flag" -nt "$package" ] || [ ! "$flag" -nt "$0" ]; then
    has='' help=$("$found" --help 2>/dev/null)
    case $help in *--config*) has=$has\\ config ;; esac
    case $help in *--no-daemon*) has=$has\\ daemon ;; esac
    printf '%s\\n' "$has" >"$flag.$$"
    mv -f "$flag.$$" "$flag"
fi
read -r has <"$flag"
case $has in *config*) set -- -c check_for_update_on_startup=false "$@" ;; esac
for word; do [ "$word" != --no-daemon ] || has=; done
case $has in *daemon*) set -- --no-daemon "$@" ;; esac
exec "$found" "$@"
"""

GUEST_TOOLS = {"xdg-open": _OPENER, "codex": _CODEX}
"""Texts of programs by name."""


def _tool(name: str) -> str:
    text = GUEST_TOOLS[name]
    return f"tool {name} {sha256(text.encode())[:16]} {quote(text)}"


# The PATH without ours tells whether there is a codex at all: a wrapper for none would look like one.
TOOLS = f"""\
tools=$HOME/{TOOLS_DIRECTORY}
tool() {{
    [ ! -e "$tools/.$1-$2" ] || return 0
    mkdir -p "$tools" && printf '%s' "$3" >"$tools/$1.$$" && chmod 755 "$tools/$1.$$" &&
        mv -f "$tools/$1.$$" "$tools/$1" && : >"$tools/.$1-$2"
}}
{_tool("xdg-open")}
! command -v codex >/dev/null || {_tool("codex")}
export BROWSER="$tools/xdg-open" PATH="$tools:$PATH\""""

# A shell stays as the parent, so that a program that a signal ended gives 128 + its number and not ssh's 255.
# Until that starts, a signal ends the shell: ignored, it would be lost. The file with its process id is removed by a
# later session, a few dozen at once: `rm` is a process, and this one only needs the shell's own commands.
RUN_PIPED = """\
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
RUN_TERMINAL = """\
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
