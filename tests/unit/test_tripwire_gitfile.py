"""git's own files: what git reads in them, and which keys make it execute something."""

from __future__ import annotations

import os
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentvm.tripwire.gitfile import Malformed, executes, read_settings, values_of

READ = {
    "nothing": ("", []),
    "what git init writes": ("[core]\n\tbare = false\n", [("core.bare", "false")]),
    "a name in any case": ("[CORE]\nFsMonitor=x", [("core.fsmonitor", "x")]),
    "a subsection keeps its case": ('[remote "Origin"]\nurl = y', [("remote.Origin.url", "y")]),
    "a subsection with a dot, a quote and a backslash": ('[a "b.\\"\\\\c"]\nd=1', [('a.b."\\c.d', "1")]),
    "the old form of a subsection": ("[Branch.Main]\nx=1", [("branch.main.x", "1")]),
    "a key alone": ("[core]\nbare\n", [("core.bare", "true")]),
    "on the section's line": ("[core] editor = vi", [("core.editor", "vi")]),
    "comments": ("# a\n[core] ; b\neditor = vi # c\n;d", [("core.editor", "vi")]),
    "a quoted comment sign": ('[core]\neditor = "a # b" ; c', [("core.editor", "a # b")]),
    "quotes in the middle": ('[core]\neditor = a" b "c', [("core.editor", "a b c")]),
    "a line that goes on": ("[core]\neditor = a\\\n  b", [("core.editor", "a  b")]),
    "escapes": ('[core]\neditor = "a\\tb\\nc\\\\\\""', [("core.editor", 'a\tb\nc\\"')]),
    "lines of Windows": ("[core]\r\neditor = vi\r\n", [("core.editor", "vi")]),
    "a mark at the beginning": ("\ufeff[core]\neditor = vi", [("core.editor", "vi")]),
}


@pytest.mark.parametrize("case", READ)
def test_it_reads_what_git_reads(case: str) -> None:
    text, expected = READ[case]
    assert read_settings(text) == expected
    assert ask_git(text) == expected


REFUSED = (
    "[core",
    '[core "a]\nx=1',
    "[core]\n1x=1",
    "[core]\nx y",
    '[core]\nx="a',
    "[core]\nx=\\q",
    "[a b]\nc=1",
)


@pytest.mark.parametrize("text", REFUSED)
def test_what_git_refuses_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        read_settings(text)
    assert ask_git(text) is None


PIECES = st.sampled_from(
    [
        "[",
        "]",
        '"',
        "\\",
        "\n",
        " ",
        "\t",
        "=",
        "#",
        ";",
        ".",
        "core",
        "Alias",
        "x",
        "editor",
        "é",
        "\r\n",
        "[core]\n",
        '[a "b"]\n',
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=25).map("".join))
def test_it_never_reads_anything_else_than_git(text: str) -> None:
    """It may refuse more: then all of the text is compared. It may never miss a setting."""
    try:
        found = read_settings(text)
    except Malformed:
        return
    # git before 2.45 writes each space within a value as a blank.
    assert ask_git(text) == [(key, value.replace("\t", " ")) for key, value in found] or ask_git(text) == found


def ask_git(text: str) -> list[tuple[str, str]] | None:
    """The settings in it as git has them; None if git refuses it."""
    done = subprocess.run(
        ["git", "config", "--file", "-", "--list", "-z"], input=text.encode(), capture_output=True, check=False
    )
    if done.returncode:
        return None
    entries = os.fsdecode(done.stdout).split("\0")[:-1]
    pairs = (entry.partition("\n") for entry in entries)
    return [(key, value if newline else "true") for key, newline, value in pairs]


EXECUTE = """core.fsmonitor core.hookspath core.sshcommand core.pager core.editor core.worktree alias.st pager.log
    filter.lfs.smudge diff.word.textconv diff.external merge.ours.driver credential.helper
    credential.https://a.b.helper gpg.program gpg.ssh.defaultkeycommand include.path includeif.gitdir:/x/.path
    remote.origin.uploadpack remote.origin.vcs protocol.ext.allow submodule.a.b.update difftool.x.cmd
    lfs.customtransfer.x.path lfs.extension.x.clean hook.mine.command"""
DO_NOT = """core.filemode core.autocrlf user.name remote.origin.url remote.origin.fetch branch.main.remote
    filter.lfs.required push.default color.ui lfs.url"""


@pytest.mark.parametrize("key", EXECUTE.split())
def test_keys_that_execute(key: str) -> None:
    assert executes(key)


@pytest.mark.parametrize("key", DO_NOT.split())
def test_keys_that_do_not(key: str) -> None:
    assert not executes(key)


def test_values_by_section_and_name() -> None:
    found = read_settings('[include]\npath=a\n[includeIf "gitdir:x"]\npath=b\n[core]\nhooksPath=c')
    assert values_of(found, "include.path", "includeif.path") == ["a", "b"]
