#!/bin/sh
# What agentvm itself needs of a guest, whatever manifest is used: a login shell of a session finds the agents, since /etc/profile sets
# PATH anew. Runs as root; safe to repeat.
set -eu

file=/etc/profile.d/agentvm.sh
mkdir -p "${file%/*}"
cat >"$file.new" <<'END'
# Made by agentvm: in its sessions the agents come first.
if [ "${AGENTVM_GUEST-}" ]; then
    PATH=$HOME/.local/share/agentvm/bin:$HOME/.local/share/agentvm/npm/bin:$HOME/.local/bin:$PATH
fi
END
mv -f "$file.new" "$file"
echo "shells: login shells of sessions find the agents"
