"""What of a file counts: two contents are the same when they execute the same."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentvm.tripwire.places import Kind
from agentvm.tripwire.runnable import runnable

HOOK = {"hooks": {"Stop": [{"hooks": [{"type": "command", "command": "evil"}]}]}}
RUN_MANAGER = '<component name="RunManager"><x/></component>'

CASES = [
    (Kind.WHOLE, ".envrc", "a\nb\n", ("a", "b")),
    (Kind.WHOLE, ".envrc", "", ()),
    (Kind.GIT, "config", '[user]\nname=A\n[remote "o"]\nurl=x\n[core]\nbare=false', ()),
    (Kind.GIT, "config", "[core]\nbare=true\nfsmonitor=x", ("core.bare = true", "core.fsmonitor = x")),
    (Kind.GIT, "config", '[submodule "a"]\nupdate=checkout', ()),
    (Kind.GIT, "config", '[submodule "a"]\nupdate="!x"', ("submodule.a.update = !x",)),
    (Kind.GIT, "config", "[core\nfsmonitor=x", ("[core", "fsmonitor=x")),
    (Kind.TODO, "git-rebase-todo", "pick 1 a\nexec evil\nx evil\n", ("exec evil", "x evil")),
    (Kind.CLAUDE, "settings.json", '{"model":"opus","theme":"dark"}', ()),
    (Kind.CLAUDE, "settings.json", json.dumps({"model": "opus", "apiKeyHelper": "x"}), ('apiKeyHelper = "x"',)),
    (
        Kind.CLAUDE,
        "settings.json",
        json.dumps(HOOK),
        ('hooks.Stop.0.hooks.0.type = "command"', 'hooks.Stop.0.hooks.0.command = "evil"'),
    ),
    (Kind.CLAUDE, "settings.json", '{"a key of next year": 1}', ("a key of next year = 1",)),
    (Kind.CLAUDE, "settings.json", "{", ("{",)),
    (Kind.CLAUDE, "settings.json", "[" * 100_000, ("[" * 100_000,)),
    (
        Kind.CLAUDE_STATE,
        ".claude.json",
        json.dumps({"numStartups": 9, "projects": {"/a": {"history": [1], "hasTrustDialogAccepted": True}}}),
        ("projects./a.hasTrustDialogAccepted = true",),
    ),
    (Kind.TABLE, "installed_plugins.json", '{"a":{"lastUpdated":"now","path":"/x"}}', ('a.path = "/x"',)),
    (Kind.CODEX, "config.toml", 'model="x"\nnotify=["a","b"]', ('notify.0 = "a"', 'notify.1 = "b"')),
    (Kind.CODEX, "config.toml", "[tui]\ntheme=1\n[mcp_servers.x]\ncommand='y'", ('mcp_servers.x.command = "y"',)),
    (Kind.OPENCODE, "opencode.jsonc", '{"theme":"x",/* a */"plugin":["y"],}', ('plugin.0 = "y"',)),
    (Kind.OPENCODE_LOGIN, "auth.json", '{"anthropic":{"type":"api","key":"secret"}}', ()),
    (
        Kind.OPENCODE_LOGIN,
        "auth.json",
        '{"https://a.example":{"type":"wellknown","key":"NODE_OPTIONS","token":"secret"}}',
        ('https://a.example.type = "wellknown"', 'https://a.example.key = "NODE_OPTIONS"'),
    ),
    (Kind.MARKDOWN, "a.md", "---\nname: a\n---\nA text.\n", ()),
    (Kind.MARKDOWN, "a.md", "---\nhooks:\n  Stop: x\n---\nA text.\n", ("hooks:", "  Stop: x")),
    (Kind.MARKDOWN, "a.md", "--- \r\n{hooks: x}\r\n---\r\nA text.\n", ("{hooks: x}\r",)),
    (Kind.MARKDOWN, "a.md", '---\n"\\x68ooks": x\n', ('"\\x68ooks": x',)),
    (Kind.MARKDOWN, "a.md", "See !`evil`.\nA text.\n", ("See !`evil`.",)),
    (Kind.WORKSPACE, "workspace.xml", "<component name='RunManager'>", ("<component name='RunManager'>",)),
    (Kind.WORKSPACE, "workspace.xml", f"<project>{RUN_MANAGER}<component name='Other'/></project>", (RUN_MANAGER,)),
]


@pytest.mark.parametrize(("kind", "name", "content", "expected"), CASES)
def test_what_counts(kind: Kind, name: str, content: str, expected: tuple[str, ...]) -> None:
    assert runnable(kind, name, content.encode()) == expected


def test_what_is_binary_is_told_by_its_digest() -> None:
    (line,) = runnable(Kind.WHOLE, "post-checkout", b"\x7fELF\0")
    assert line.startswith("binary, 5 bytes, sha256 ")


@given(st.sampled_from(list(Kind)), st.sampled_from(["a.json", "a.toml", "config"]), st.binary(max_size=200))
def test_nothing_in_a_file_is_a_mistake(kind: Kind, name: str, content: bytes) -> None:
    assert all(isinstance(line, str) for line in runnable(kind, name, content))
