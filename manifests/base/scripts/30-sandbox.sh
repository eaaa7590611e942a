#!/bin/sh
# Codex and Claude Code put commands into a sandbox of bubblewrap's. Ubuntu has, since 24.04, kept programs from making the user
# namespace it needs, unless an AppArmor profile allows it: 25.04 and later bring the profile, 24.04 has it in a package, switched off.
# https://github.com/openai/codex/issues/17337
set -eu

user=${AGENTVM_GUEST_USER:?must be the name of the unprivileged user}
profile=/etc/apparmor.d/bwrap-userns-restrict
extra=/usr/share/apparmor/extra-profiles/bwrap-userns-restrict

say() { echo "sandbox: $*"; }

fail() {
    echo "sandbox: $*" >&2
    exit 1
}

# Asks the thing itself, as the user of the agents. The network namespace is the step that Ubuntu refuses.
works() { why=$(runuser -u "$user" -- bwrap --ro-bind / / --dev /dev --unshare-all true 2>&1); }

restricted() { [ "$(cat /proc/sys/kernel/apparmor_restrict_unprivileged_userns 2>/dev/null)" = 1 ]; }

# Two profiles for one program keep each other from working (https://github.com/openai/codex/issues/38715).
other_profile() { grep -lrE '^[[:space:]]*(profile[[:space:]].*)?/usr/bin/bwrap[[:space:]].*\{' /etc/apparmor.d --exclude="${profile##*/}" 2>/dev/null | head -n 1; }

allow() {
    other=$(other_profile)
    [ -z "$other" ] || fail "$other is a profile for bwrap that keeps it from working ($why). Change or remove it."
    if [ ! -e "$profile" ]; then
        [ -e "$extra" ] || install_profiles || fail "apparmor-profiles, with Ubuntu's profile for bwrap, could not be installed."
        install -m 644 "$extra" "$profile"
    fi
    apparmor_parser -r "$profile" || fail "AppArmor does not load $profile."
}

# The lists may be missing or old when the base's packages were all there.
install_profiles() { apt_install || { apt-get -qq update && apt_install; }; }

apt_install() { apt-get -qq -y -o DPkg::Lock::Timeout=300 install --no-install-recommends apparmor-profiles >/dev/null; }

if works; then
    say "bubblewrap works for $user"
    exit
fi
if restricted; then
    allow
    works || fail "bubblewrap does not work for $user, with its profile loaded either: $why"
    say "bubblewrap works for $user, by $profile"
else
    # Not Ubuntu's restriction. The VM is a boundary still, so this is worth a warning and not the whole base.
    say "WARNING: bubblewrap does not work for $user: $why. Agents that use it can't run commands in their sandbox."
fi
