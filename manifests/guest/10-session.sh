#!/bin/sh
# What agentvm itself needs of a guest, whatever manifest is used: sshd takes the session script in the environment, and many
# sessions share one connection. Runs as root; safe to repeat. Settings that this sshd would refuse are never put in its way.
set -eu

config=/etc/ssh/sshd_config
drop_in=/etc/ssh/sshd_config.d/00-agentvm.conf
user=${AGENTVM_GUEST_USER:-root}
PATH=$PATH:/usr/local/sbin:/usr/sbin

# sshd's own limits are 10 sessions a connection, and 10 unfinished logins before it drops new ones at random.
settings='# agentvm: sessions begin
AcceptEnv AGENTVM_SESSION AGENTVM_SESSION_*
MaxSessions 64
MaxStartups 64:30:128
# agentvm: sessions end'

fail() {
    echo "session: $*" >&2
    exit 1
}

# sshd keeps the first value that it reads, so ours go first, where no Match block can hold them either. The old ones are taken
# out line by line: deleting from one mark to the other would delete the rest of the file when somebody lost the second.
with_our_block() {
    printf '%s\n' "$settings"
    without_our_block
}

without_our_block() { grep -vxF "$settings" "$config" || [ $? -eq 1 ]; } # 1: nothing else is in it

# Says what a connection of the guest's user would get: from the real configuration, or from the one given by "-f FILE".
effective() { sshd -T -C "user=$user,host=localhost,addr=127.0.0.1,laddr=127.0.0.1,lport=22" "$@" >"$work/effective"; }

took_effect() {
    for wanted in 'acceptenv AGENTVM_SESSION' 'acceptenv AGENTVM_SESSION_\*' 'maxsessions 64' 'maxstartups 64:30:128'; do
        grep -qix "$wanted" "$work/effective" || return 1
    done
}

first_word() { sed -n 's/^[[:space:]]*\([A-Za-z].*\)/\1/p' "$config" | head -n 1; }

reads_drop_ins_first() { first_word | grep -Eqi '^Include[[:space:]]+"?(/etc/ssh/)?sshd_config\.d/\*\.conf'; }

# Makes a file say what stdin says, whole or not at all, with the mode that it had.
put() {
    cat >"$work/new"
    if cmp -s "$work/new" "$1"; then return; fi
    [ ! -e "$1" ] || cp -p "$1" "$1.agentvm-new"
    cat "$work/new" >"$1.agentvm-new"
    mv -f "$1.agentvm-new" "$1"
}

# A reload keeps open connections. It is done each time, since a run that was killed may not have come to it.
reload() {
    for unit in ssh.service sshd.service; do
        systemctl --quiet is-active "$unit" || continue
        systemctl reload "$unit" || fail "$unit did not reload. See: journalctl -u $unit"
        answers || fail "sshd does not answer since its reload. See: journalctl -u $unit"
        return
    done
    # Neither runs: sshd is started for each connection, and reads its configuration then.
}

# A reload goes on after systemctl has returned. sshd takes the signal before the next connection, so one banner shows that it is over.
answers() {
    port=$(sed -n 's/^port //p' "$work/effective" | head -n 1)
    tries=20
    until ssh-keyscan -T 5 -t ed25519 -p "$port" 127.0.0.1 2>&1 | grep -q 'SSH-2\.0'; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.5
    done
}

command -v systemctl >/dev/null || fail "this guest has no systemd. agentvm needs an image that has it, like Debian's or Ubuntu's."
command -v sshd >/dev/null || fail "this guest has no sshd. agentvm needs an image with openssh-server."
[ -r "$config" ] || fail "$config can't be read. This script must run as root."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022
mkdir -p /run/sshd # sshd -t wants it, and a socket-activated sshd may not have made it yet

with_our_block >"$work/candidate"
effective -f "$work/candidate" || fail "sshd refuses its configuration with agentvm's settings before it, for the reason above. Nothing was changed."
took_effect || fail "agentvm's settings would have no effect in this sshd's configuration. Nothing was changed."

if reads_drop_ins_first; then
    printf '%s\n' "$settings" | put "$drop_in"
    without_our_block | put "$config"
else
    with_our_block | put "$config"
fi

sshd -t || fail "sshd refuses its configuration, so it was not reloaded: it goes on with the old one."
effective
took_effect || fail "agentvm's settings are in place but have no effect: a file in /etc/ssh/sshd_config.d sets others before them."
reload
echo "session: sshd takes AGENTVM_SESSION and 64 sessions a connection"
