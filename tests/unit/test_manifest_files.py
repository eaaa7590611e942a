"""The manifests as they are shipped: what can be told of them without a guest. What they do is shown on real Lima."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MANIFESTS = Path(__file__).parents[2] / "manifests"
SCRIPTS = sorted((*MANIFESTS.glob("guest/*"), *MANIFESTS.glob("base/scripts/*")))
# Debian Policy 5.6.7: lower-case letters, digits, plus, minus and dot, at least two, and an alphanumeric one first.
DEBIAN_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")

each_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)


def packages() -> list[str]:
    lines = (MANIFESTS / "base" / "apt-packages.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_packages_have_debian_names() -> None:
    assert [name for name in packages() if not DEBIAN_NAME.fullmatch(name)] == []


def test_no_package_is_listed_twice() -> None:
    assert len(set(packages())) == len(packages())


def test_scripts_can_rely_on_what_they_call() -> None:
    assert {"bubblewrap", "ca-certificates", "curl", "gpg", "locales"} <= set(packages())


@each_script
def test_scripts_are_named_for_their_order(script: Path) -> None:
    assert re.fullmatch(r"\d\d-[a-z-]+\.sh", script.name)


@each_script
def test_scripts_are_executable_and_stop_at_the_first_failure(script: Path) -> None:
    lines = script.read_text().splitlines()
    assert lines[0] == "#!/bin/sh"
    assert "set -eu" in lines
    assert os.access(script, os.X_OK)


@each_script
@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_scripts_parse(script: Path, shell: str) -> None:
    subprocess.run([shutil.which(shell) or "/bin/sh", "-n", script], check=True)


@each_script
def test_scripts_pass_shellcheck(script: Path) -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    subprocess.run([shellcheck, "--norc", script], check=True)


@each_script
def test_nothing_downloaded_is_run_unseen(script: Path) -> None:
    assert not re.search(r"(curl|wget)[^\n]*\|\s*(sudo\s+)?(ba)?sh\b", script.read_text())


STUB_CURL = """#!/bin/sh
while [ "$1" != -o ]; do shift; done
[ -n "${KEYRING-}" ] || { echo "curl: (28) timed out" >&2; exit 28; }
cp "$KEYRING" "$2"
"""
STUB_GPG = """#!/bin/sh
for last; do :; done
cat "$last"
"""


def colons(*fingerprints: str) -> str:
    """What gpg says of a file with these keys, each with a subkey."""
    return "".join(f"pub:-:\nfpr:::::::::{key}:\nsub:-:\nfpr:::::::::5{key[1:]}:\n" for key in fingerprints)


def gh_node(tmp_path: Path, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a command with the functions of 20-gh-node.sh, and none of what it does with them."""
    for name, text in (("curl", STUB_CURL), ("gpg", STUB_GPG)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    script = (MANIFESTS / "base" / "scripts" / "20-gh-node.sh").read_text()
    functions = script.partition("work=$(mktemp -d)")[0]
    return subprocess.run(
        ["/bin/sh", "-c", f"{functions}\nwork=$WORK\n{command}"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "WORK": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def knows_keys(tmp_path: Path, listing: str) -> bool:
    (tmp_path / "ring").write_text(listing)
    done = gh_node(tmp_path, "key=kept; only_keys $WORK/ring 'AAAA BBBB' && echo $key")
    assert done.stdout in ("", "kept\n"), "its caller's path of the key was lost"
    return done.returncode == 0


@pytest.mark.parametrize("listing", [colons("AAAA"), colons("AAAA", "BBBB")], ids=["one", "both"])
def test_a_makers_keys_are_known(tmp_path: Path, listing: str) -> None:
    assert knows_keys(tmp_path, listing)


@pytest.mark.parametrize(
    "listing",
    ["", colons("CCCC"), colons("AAAA", "CCCC"), colons("AAA"), "sub:-:\nfpr:::::::::AAAA:\n"],
    ids=["no key", "another", "one more", "half a name", "only as a subkey"],
)
def test_any_other_key_is_refused(tmp_path: Path, listing: str) -> None:
    assert not knows_keys(tmp_path, listing)


ADD = "add_source gh https://example.test/ring.gpg 'AAAA BBBB' https://example.test/packages stable"


def test_a_closed_network_is_said(tmp_path: Path) -> None:
    done = gh_node(tmp_path, ADD)
    assert done.returncode == 1
    assert "can't be reached (curl: (28) timed out)" in done.stdout


def test_a_key_that_is_refused_is_said_with_the_right_one(tmp_path: Path) -> None:
    (tmp_path / "ring").write_text(colons("CCCC"))
    done = gh_node(tmp_path, ADD, KEYRING=str(tmp_path / "ring"))
    assert done.returncode == 1
    assert "UNKNOWN KEY" in done.stdout
    assert "AAAA BBBB" in done.stdout
