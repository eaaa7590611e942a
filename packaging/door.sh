#!/bin/sh
# What follows these lines is a zip file. What was extracted from it starts in two thirds of the time: Python need not open it.
command -v python3 >/dev/null || {
    echo "${0##*/} needs Python 3.11 or newer: install it (\`brew install python\`, \`apt install python3\`) and put it on the PATH." >&2
    exit 127
}
for cache in "${XDG_CACHE_HOME-}" "${HOME-}/.cache" "${HOME-}/Library/Caches"; do
    door=$cache/agentvm/builds/@BUILD@/site-packages/agentvm/__main__.py
    # A relative path would lead into a project, where VMs write.
    # shellcheck disable=SC3067  # dash, bash, ksh, zsh and busybox know -O.
    case $door in /*) [ -O "$door" ] && exec python3 -I -S "$door" "$0" "$@" ;; esac
done
exec python3 -I -S "$0" "$@"
