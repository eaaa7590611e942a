"""The programs and addresses in the host's configuration, and the check in a guest: by real shells."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentvm.hostprograms import is_local, localhost_urls, missing_script, programs_named

SETTINGS = {
    "hooks": {
        "PreToolUse": [
            {
                "matcher": "Bash",
                "hooks": [{"type": "command", "command": "FOO='a b' ~/.claude/hooks/check.sh --strict"}],
            },
            {"hooks": [{"type": "prompt", "prompt": "curl"}, {"type": "command", "command": "osascript -e 'beep'"}]},
        ],
        "Stop": [{"hooks": [{"type": "command", "command": "/Applications/My App/run", "args": ["-x"]}]}],
    },
    "statusLine": {"type": "command", "command": '"$HOME/bin/my line" | cut -c1-80'},
    "subagentStatusLine": {"type": "command", "command": "jq -r .x"},
    "fileSuggestion": {"type": "command", "command": "fd"},
    "apiKeyHelper": "security find-generic-password -w",
    "awsAuthRefresh": "aws sso login",
    "awsCredentialExport": "/opt/homebrew/bin/aws-vault export",
    "gcpAuthRefresh": "gcloud auth login",
    "otelHeadersHelper": "exec otel-headers",
    "proxyAuthHelper": "sudo -u me proxy-auth",
    "processWrapper": "corp-launch --",
    "model": "opus",
}
CLAUDE_JSON = {
    "mcpServers": {
        "github": {"type": "stdio", "command": "/opt/homebrew/bin/docker", "args": ["run"]},
        "remote": {"type": "http", "url": "https://example.org", "headersHelper": "get-headers --json"},
        "env": {"command": "env", "args": ["-u", "X", "A=1", "uvx", "thing"]},
    },
    "projects": {
        "/home/me/web": {"mcpServers": {"local": {"command": "npx", "args": ["-y", "thing"]}}},
        "/home/me/other": {"mcpServers": {"more": {"command": "deno"}}},
    },
}
CODEX = """
notify = ["terminal-notifier", "-title", "Codex"]
[mcp_servers.files]
command = "/usr/local/bin/files-mcp"
args = ["--stdio"]
[mcp_servers.off]
command = "nothing"
enabled = false
[[hooks.SessionStart]]
[[hooks.SessionStart.hooks]]
type = "command"
command = "python3 ~/.codex/start.py"
[model_providers.corp]
base_url = "http://localhost:4000/v1"
[model_providers.corp.auth]
command = "corp-token"
args = ["--codex"]
"""
OPENCODE = """\
// what I use
{
  "$schema": "https://opencode.ai/config.json", /* not // a comment: */
  "mcp": {
    "files": {"type": "local", "command": ["bun", "x", "files // not a comment"],},
    "off": {"type": "local", "command": ["nothing"], "enabled": false},
    "there": {"type": "remote", "url": "http://127.0.0.1:8931/mcp"},
  },
  "formatter": {"mine": {"command": ["/opt/homebrew/bin/shfmt", "$FILE"], "extensions": [".sh"]}, "gofmt": {"disabled": true}},
  "lsp": {"rust": {"command": ["rust-analyzer"]}},
  "provider": {"ollama": {"options": {"baseURL": "http://localhost:11434/v1", "note": "a, ] \\" // /* b"}}},
  "shell": "/opt/homebrew/bin/fish",
}
"""


@pytest.mark.parametrize(
    ("kind", "name", "content", "expected"),
    [
        (
            "claude",
            "~/.claude/settings.json",
            json.dumps(SETTINGS),
            [
                ("hooks.PreToolUse", "~/.claude/hooks/check.sh"),
                ("hooks.PreToolUse", "osascript"),
                ("hooks.Stop", "/Applications/My App/run"),
                ("statusLine", "$HOME/bin/my line"),
                ("subagentStatusLine", "jq"),
                ("fileSuggestion", "fd"),
                ("apiKeyHelper", "security"),
                ("awsAuthRefresh", "aws"),
                ("awsCredentialExport", "/opt/homebrew/bin/aws-vault"),
                ("gcpAuthRefresh", "gcloud"),
                ("otelHeadersHelper", "otel-headers"),
                ("proxyAuthHelper", "proxy-auth"),
                ("processWrapper", "corp-launch"),
            ],
        ),
        (
            "claude",
            "settings.local.json",
            json.dumps({**SETTINGS, "disableAllHooks": True, "apiKeyHelper": None})[:-1] + ",} // mine",
            [("fileSuggestion", "fd")],
        ),
        (
            "claude",
            "~/.claude.json",
            json.dumps(CLAUDE_JSON),
            [
                ("mcpServers.github", "/opt/homebrew/bin/docker"),
                ("mcpServers.remote", "get-headers"),
                ("mcpServers.env", "uvx"),
                ("mcpServers.local", "npx"),
            ],
        ),
        (
            "codex",
            "~/.codex/config.toml",
            CODEX,
            [
                ("hooks.SessionStart", "python3"),
                ("notify", "terminal-notifier"),
                ("mcp_servers.files", "/usr/local/bin/files-mcp"),
                ("model_providers.corp.auth", "corp-token"),
            ],
        ),
        ("codex", "hooks.json", json.dumps({"hooks": SETTINGS["hooks"]}), None),
        (
            "opencode",
            "opencode.jsonc",
            OPENCODE,
            [
                ("mcp.files", "bun"),
                ("formatter.mine", "/opt/homebrew/bin/shfmt"),
                ("lsp.rust", "rust-analyzer"),
                ("shell", "/opt/homebrew/bin/fish"),
            ],
        ),
        (
            "opencode",
            "opencode.json",
            '{"mcp": {"servers": {"v2": {"type": "local", "command": ["v2"]}}}}',
            [("mcp.v2", "v2")],
        ),
        *((kind, "empty.json", "", []) for kind in ("claude", "codex", "opencode")),
    ],
)
def test_programs(kind: str, name: str, content: str, expected: list[tuple[str, str]] | None) -> None:
    found = programs_named(kind, name, content.encode(), "/home/me/web")
    assert found.notices == ()
    assert {named.file for named in found.named} <= {name}
    named = [(named.what, named.program) for named in found.named]
    if expected is None:
        assert [what for what, _ in named] == ["hooks.PreToolUse", "hooks.PreToolUse", "hooks.Stop"]
    elif "disableAllHooks" in content:
        assert named[0] == ("fileSuggestion", "fd")
        assert {"hooks.Stop", "statusLine", "apiKeyHelper"}.isdisjoint(what for what, _ in named)
    else:
        assert named == expected


def test_every_project_of_a_claude_file() -> None:
    found = programs_named("claude", ".claude.json", json.dumps(CLAUDE_JSON).encode())
    assert [named.program for named in found.named][-2:] == ["npx", "deno"]


@pytest.mark.parametrize(
    ("command", "program"),
    [
        ("node x.js", "node"),
        ("A=1 B='2 3' node", "node"),
        ("exec env -i A=1 /usr/bin/env node x", "node"),
        ("sudo -n -u root -- /bin/x", "/bin/x"),
        ("nice -n 5 make", "make"),
        ("command -v foo >/dev/null && foo", "foo"),
        ("(cd x; make)", "cd"),
        ("prog;other", "prog"),
        ("prog|other", "prog"),
        ("'/a b/c' d", "/a b/c"),
        ('"$CLAUDE_PROJECT_DIR"/.claude/hooks/x.sh', "$CLAUDE_PROJECT_DIR/.claude/hooks/x.sh"),
        ("$HOME/bin/x", "$HOME/bin/x"),
        ("# not a program", "#"),
        ("it's open", "it's open"),
        ("line\n'one", "line?'one"),
        ("\033]0;title\a x", "?]0"),
        ("A=1", ""),
        ("  ", ""),
        ("x" * 100_000, "x" * 300),
    ],
)
def test_the_first_real_word(command: str, program: str) -> None:
    found = programs_named("claude", "settings.json", json.dumps({"apiKeyHelper": command}).encode())
    assert [named.program for named in found.named] == ([program] if program else [])


@pytest.mark.parametrize("kind", ["claude", "codex", "opencode"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", b"{"),
        ("a.json", b"[1]"),
        ("a.json", b"\xff\xfe"),
        ("a.json", b"[" * 200_000),
        ("a.json", b'{"a":' * 200_000),
        ("a.json", b'{"a": ' + b"9" * 5000 + b"}"),
        ("a.json", b'"\\' * 200_000),
        ("a.json", b"/*" * 200_000),
        ("a.json", b"//" * 200_000),
        ("a.json", b"," + b" " * 200_000 + b","),
        ("a.toml", b"a = "),
        ("a.toml", b"a = 1\na = 2"),
        ("a.toml", b"a = " + b"[" * 200_000),
        ("a.toml", b"\xff"),
    ],
)
def test_a_malformed_file_is_one_notice(kind: str, name: str, content: bytes) -> None:
    start = time.monotonic()
    named, notices = programs_named(kind, name, content)
    assert named == ()
    assert len(notices) == 1
    assert name in notices[0]
    assert localhost_urls(kind, name, content).notices == notices
    assert time.monotonic() - start < 5


ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from("hooks Stop mcpServers mcp lsp command args notify url statusLine type".split()), inner
        ),
    ),
    max_leaves=12,
)


@given(st.sampled_from(["claude", "codex", "opencode"]), ANYTHING)
def test_any_shape_is_read_without_an_exception(kind: str, value: object) -> None:
    content = json.dumps(value).encode()
    for named in programs_named(kind, "a.json", content).named:
        assert named.program.isprintable()
        assert named.what.isprintable()
    localhost_urls(kind, "a.json", content)


def test_many_are_bounded() -> None:
    servers = {f"s{number}": {"command": f"p{number}", "url": "http://localhost"} for number in range(5000)}
    content = json.dumps({"mcpServers": servers}).encode()
    assert len(programs_named("claude", "a.json", content).named) == 200
    assert len(localhost_urls("claude", "a.json", content).found) == 200
    assert len(missing_script(f"p{number}" for number in range(5000)).splitlines()) < 220


@pytest.mark.parametrize(
    ("kind", "name", "content", "expected"),
    [
        ("codex", "config.toml", CODEX, [("model_providers.corp.base_url", "http://localhost:4000/v1")]),
        (
            "opencode",
            "opencode.jsonc",
            OPENCODE,
            [
                ("mcp.there.url", "http://127.0.0.1:8931/mcp"),
                ("provider.ollama.options.baseURL", "http://localhost:11434/v1"),
            ],
        ),
        (
            "claude",
            "settings.json",
            '{"env": {"ANTHROPIC_BASE_URL": "http://localhost:4000"}, "projects": {"url": "http://localhost/a prompt"}}',
            [("env.ANTHROPIC_BASE_URL", "http://localhost:4000")],
        ),
    ],
)
def test_addresses(kind: str, name: str, content: str, expected: list[tuple[str, str]]) -> None:
    found, notices = localhost_urls(kind, name, content.encode())
    assert [(address.what, address.url) for address in found] == expected
    assert notices == ()


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://localhost", True),
        ("HTTPS://LocalHost:80/x", True),
        ("ws://127.0.0.53?x", True),
        ("http://user:p@localhost/", True),
        ("http://[::1]:80", True),
        ("http://0.0.0.0:80", True),
        ("http://api.localhost", True),
        ("http://localhost.example.org", False),
        ("http://example.org/localhost", False),
        ("http://example.org#@localhost", False),
        ("http://[::2]:80", False),
        ("localhost:80", False),
        ("file://localhost/x", False),
        ("", False),
    ],
)
def test_local(url: str, local: bool) -> None:
    assert is_local(url) == local


SHELLS = [words for words in (["dash"], ["busybox", "sh"], ["bash", "--posix"], ["sh"]) if shutil.which(words[0])]


@pytest.fixture
def guest(tmp_path: Path) -> Path:
    for place in ("bin/there", "bin/-dash", "home/bin/mine", "home/a 'b' \"c\"", "hooks/x.sh"):
        file = tmp_path / place
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_text("#!/bin/sh\n")
        file.chmod(0o755)
        (file.parent / "plain").write_text("")
        (file.parent / "folder").mkdir(exist_ok=True)
    return tmp_path


def missing(guest: Path, shell: list[str], programs: list[str]) -> list[str]:
    found = shutil.which(shell[0])
    assert found
    environment = {"PATH": str(guest / "bin"), "HOME": str(guest / "home")}
    words = [found, *shell[1:], "-c", missing_script(programs)]
    done = subprocess.run(words, env=environment, cwd=guest, capture_output=True, check=True, timeout=20)
    assert done.stderr == b""
    assert sorted(os.listdir(guest)) == ["bin", "home", "hooks"]
    return done.stdout.decode().splitlines()


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_the_guest_says_what_is_missing(guest: Path, shell: list[str]) -> None:
    there = [
        *("there", "-dash", "~/bin/mine", "$HOME/bin/mine", "${HOME}/bin/mine", f"{guest}/bin/there", "~/a 'b' \"c\""),
        *("$CLAUDE_PROJECT_DIR/hooks/x.sh", "${CLAUDE_PROJECT_DIR}/hooks/x.sh", "hooks/x.sh", "cd", "["),
        # What can't be told.
        *("$OTHER/x", "`pwd`", "~/$x", "\033[31m", "two\nlines", ""),
    ]
    gone = [
        *("osascript", "say", "~/bin/none", "$HOME/plain", "~/folder", "/opt/homebrew/bin/node", "hooks/none"),
        *("-n", "--", "a b", "'; touch pwned; '", '"', "\\n", "a\\c", "*", "it's", "$(touch pwned)", "h\u00e9"),
        *("$CLAUDE_PROJECT_DIR/none", "~other/x", "~"),
    ]
    told = [program for program in gone if program != "$(touch pwned)"]
    assert missing(guest, shell, [*there, *gone, *gone]) == told


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_hostile_names(guest: Path, shell: list[str]) -> None:
    letters = "'\"\\$`;&|<>(){}*?[]#~=%! \n\t-/.a\u00e9"
    names = [f"{first}{second}{third}x" for first in letters for second in letters for third in "'\\\"-"]
    told = []
    for start in range(0, len(names), 200):
        told += missing(guest, shell, names[start : start + 200])
    assert told == [name for name in dict.fromkeys(names) if name.isprintable() and not {"$", "`"} & set(name)]


def test_nothing_to_check() -> None:
    assert missing_script([]) == ""
    assert missing_script(["$X/y"]) == ""
