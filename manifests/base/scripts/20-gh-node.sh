#!/bin/sh
# gh and Node with npm, from their makers' apt repositories where those can be reached, else the distribution's own: theirs lag
# behind by years (gh 2.23 and Node 18 in Debian 12). A maker's repository is used only if its key has the fingerprint given here.
set -eu

node_wanted=20 # the oldest major that will do; a newer one that is there already is left alone
node_source=24 # the major to get from NodeSource: a long-term one, and its npm still runs the agents' install scripts

gh_uri=https://cli.github.com/packages
# Published in https://github.com/cli/cli/blob/trunk/docs/install_linux.md; the second takes over from the first in 2026.
gh_keys='2C6106201985B60E6C7AC87323F3D4EA75716059 7F38BBB59D064DBCB3D84D725612B36462313325'
# The one key of https://github.com/nodesource/distributions.
node_keys='6F71F525282841EEDAF851B42F59B5F99B1BE0B4'

say() { echo "gh-node: $*"; }

fail() {
    echo "gh-node: $*" >&2
    exit 1
}

apt() { apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=1 -o Acquire::https::Timeout=10 "$@"; }

install_quietly() { apt install -y --no-install-recommends "$@" >/dev/null; }

# apt's lists may be missing or old when all packages of the base were there already.
install_packages() { install_quietly "$@" 2>/dev/null || { apt update && install_quietly "$@"; }; }

has() { command -v "$1" >/dev/null; }

# The fingerprints of a key file's primary keys. A home of its own keeps gpg from making one in root's.
fingerprints() {
    gpg --homedir "$work" --batch --quiet --show-keys --with-colons "$1" 2>/dev/null |
        awk -F: '$1 == "pub" { primary = 1 } $1 == "fpr" && primary { print $10; primary = 0 }'
}

# True if file $1 holds keys, and none but those of the list $2.
only_keys() {
    found=$(fingerprints "$1")
    [ -n "$found" ] || return 1
    for fingerprint in $found; do
        case " $2 " in *" $fingerprint "*) ;; *) return 1 ;; esac
    done
}

# True if apt has this repository already. Twice the same with two keys, and apt refuses to do anything.
knows() { grep -rqsF "$1" /etc/apt/sources.list /etc/apt/sources.list.d; }

# add_source NAME KEY-URL KEYS URI SUITE: makes a maker's repository known to apt, or says why not, returns 1 and leaves nothing behind.
# A closed network costs some seconds here, no more.
add_source() {
    if knows "$4"; then return; fi
    list=/etc/apt/sources.list.d/agentvm-$1.sources
    key=/etc/apt/keyrings/agentvm-$1.${2##*.}
    case $key in *.key) key=${key%.key}.asc ;; esac # apt tells a key's form by its ending
    if ! curl -fsSL --proto =https --connect-timeout 5 --max-time 30 -o "$work/key" "$2" 2>"$work/why"; then
        say "$1: its maker's repository can't be reached ($(head -n 1 "$work/why"))"
        return 1
    fi
    if ! only_keys "$work/key" "$3"; then
        say "$1: its maker's repository has an UNKNOWN KEY, so it is not used. Compare: $2 should be $3"
        return 1
    fi
    install -d -m 755 /etc/apt/keyrings
    install -m 644 "$work/key" "$key"
    printf '%s\n' "Types: deb" "URIs: $4" "Suites: $5" "Components: main" "Signed-By: $key" >"$list"
    # Only this list: the others are fresh, and one that can't be had must not cost the distribution's packages.
    if ! apt update -o "Dir::Etc::sourcelist=$list" -o Dir::Etc::sourceparts=- -o APT::Get::List-Cleanup=0 -o APT::Update::Error-Mode=any; then
        say "$1: its maker's repository has the right key but can't be read"
        rm -f "$list" "$key"
        return 1
    fi
}

gh_is_there() { has gh && knows "$gh_uri"; }

install_gh() {
    if add_source gh "$gh_uri/githubcli-archive-keyring.gpg" "$gh_keys" "$gh_uri" stable; then
        install_packages gh || fail "gh could not be installed from its maker's repository."
        gh_from="from its maker"
    else
        has gh || install_packages gh || fail "gh could not be installed, neither from its maker nor from the distribution."
        gh_from="from the distribution"
    fi
}

node_major() { has node && node --version | sed 's/^v\([0-9]*\).*/\1/' || echo 0; }

node_is_there() { [ "$(node_major)" -ge "$node_wanted" ] && has npm; }

install_node() {
    if add_source node https://deb.nodesource.com/gpgkey/nodesource-repo.gpg.key "$node_keys" "https://deb.nodesource.com/node_$node_source.x" nodistro; then
        install_packages nodejs || fail "Node could not be installed from NodeSource."
        node_from="from NodeSource"
    else
        has node || install_packages nodejs || fail "Node could not be installed, neither from NodeSource nor from the distribution."
        node_from="from the distribution"
    fi
    # A distribution's Node comes without npm; it may also be newer than NodeSource's, and is then what apt took.
    has npm || install_packages npm || fail "npm could not be installed."
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

gh_from="there already"
gh_is_there || install_gh
say "gh $(gh --version | sed -n 's/^gh version \([^ ]*\).*/\1/p') ($gh_from)"

node_from="there already"
node_is_there || install_node
say "Node $(node --version) with npm ($node_from)"
[ "$(node_major)" -ge "$node_wanted" ] ||
    say "this Node is older than $node_wanted. The agents run on it, but a project's own tools may not; nothing newer could be reached."
