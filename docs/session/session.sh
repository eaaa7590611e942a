#!/bin/sh
# What docs/session/session.svg shows. Real commands in a real project; only the typing is a program's.
set -eu
type_and_run() {
    printf '\033[1;32m%s\033[0m $ ' "${PWD##*/}"
    rest=$1
    while [ "$rest" ]; do
        printf %s "${rest%"${rest#?}"}"
        rest=${rest#?}
        sleep 0.04
    done
    sleep 0.3
    echo
    eval "$1" || true
    sleep 1.5
}
type_and_run 'agentvm codex --version'
type_and_run 'agentvm codex --version'
type_and_run 'agentvm shell -- sh -c "id -un; ls ~ ~/.codex | head -n 4; pwd"'
type_and_run "agentvm shell -- sh -c 'echo rm -rf / >.git/hooks/post-checkout'"
type_and_run 'agentvm review --restore'
type_and_run 'agentvm status'
type_and_run 'agentvm stop'
sleep 2
