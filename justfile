# Short names for what build.py does.

set positional-arguments

[private]
default:
    @just --list

# Make dist/agentvm.pyz.
agentvm-build:
    python3 build.py

# Lint, types and all tests that need no Lima.
agentvm-test *arguments:
    python3 build.py test "$@"

# The tests with the real agents, which it installs from npm.
agentvm-agents *arguments:
    python3 build.py agents "$@"

# The tests on real Lima; only with AGENTVM_RUN_INTEGRATION_SMOKE=1.
agentvm-integration-smoke *arguments:
    python3 build.py smoke "$@"

# Run agentvm on real Lima, in a scratch project.
agentvm-try *arguments:
    python3 build.py try "$@"

# Real Lima where the machine has none: up, run, down, remove.
agentvm-lab *arguments:
    python3 build.py lab "$@"

# How long the archive takes to start.
agentvm-bench *arguments:
    python3 build.py bench "$@"

# Remove what the build made.
agentvm-clean:
    python3 build.py clean
