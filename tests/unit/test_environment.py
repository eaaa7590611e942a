"""What a guest gets of the host's environment. What is decided in the guest is decided by every POSIX shell that is found."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agentvm.environment import (
    LOCALES,
    TERMINFO,
    ZONES,
    codex_keys,
    locale_key,
    opencode_keys,
    plan_environment,
    reach_host,
    read_localtime,
    to_gateway,
    zone_name,
)
from agentvm.model import Contribution, Host
from agentvm.variables import is_never, is_never_pattern, matches

SHELLS = {"dash": (), "bash": ("--posix",), "busybox": ("sh",)}
FOUND = {name: (path, *words) for name, words in SHELLS.items() if (path := shutil.which(name))}
GATEWAY = "host.lima.internal"
HOSTILE = ("'", "$(id)", "`id`", "\\", "a\nb", "\x1b[31m", "%s", "é", "\udcff", "*", "~", " x ", "-n", "!!")


def complaints(stderr: bytes) -> list[bytes]:
    """bash takes the locales for itself too, and this machine may not have those that the guest says it has."""
    return [line for line in stderr.splitlines() if b"setlocale" not in line]


class Guest(NamedTuple):
    """A guest's directories in one place, and the shell that reads the lines there."""

    shell: tuple[str, ...]
    root: Path

    @property
    def home(self) -> Path:
        return self.root / "a home"

    def program(self, name: str, text: str = "") -> None:
        path = self.root / "bin" / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def file(self, path: str) -> None:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("")

    def locales(self, *names: str) -> None:
        """Let `locale -a` say these, and write down each time it is asked."""
        self.program("locale", f'echo asked >>"{self.root}/asked"; printf "%s\\n" {" ".join(names)}')
        (self.root / "locale").mkdir(exist_ok=True)

    @property
    def asked(self) -> int:
        log = self.root / "asked"
        return len(log.read_text().splitlines()) if log.exists() else 0

    def environment_after(self, plan: Contribution, **before: str) -> dict[str, str]:
        """The variables of a program that is started after the plan's lines, whose directories lie in this guest."""
        text = "\n".join(
            (
                "state=$HOME/.local/state/agentvm",
                plan.functions,
                *(self._moved(line) for line in plan.lines),
                f"exec {shutil.which('env')} -0",
            )
        )
        done = subprocess.run(
            [*self.shell, "-s"],
            input=os.fsencode(text),
            env={"HOME": str(self.home), "PATH": f"{self.root}/bin:{self.root}/tools", **before},
            capture_output=True,
            check=True,
        )
        assert complaints(done.stderr) == []
        pairs = (os.fsdecode(pair).partition("=") for pair in done.stdout.split(b"\0") if pair)
        return {name: value for name, _, value in pairs}

    def _moved(self, line: str) -> str:
        places = {LOCALES: "locale", ZONES: "zones", TERMINFO: ""}
        for place, here in places.items():
            if place == TERMINFO:
                line = line.replace(place, f"{self.root}/etc-terminfo {self.root}/share-terminfo")
            else:
                line = line.replace(place, f"{self.root}/{here}")
        return line


@pytest.fixture(params=FOUND)
def guest(request: pytest.FixtureRequest, tmp_path: Path) -> Guest:
    root = tmp_path / "guest"
    for name in ("a home", "bin", "tools"):
        (root / name).mkdir(parents=True)
    for tool in ("mkdir", "mv", "sh"):
        (root / "tools" / tool).symlink_to(str(shutil.which(tool)))
    return Guest(FOUND[request.param], root)


Plan = Callable[..., Contribution]


@pytest.fixture
def plan(host: Host) -> Plan:
    """The plan for a host with these variables."""

    def make(
        environment: dict[str, str],
        agent: str = "",
        extra: tuple[str, ...] = (),
        terminal: bool = False,
        localtime: str = "",
    ) -> Contribution:
        return plan_environment(
            host._replace(environment=environment),
            agent=agent,
            gateway=GATEWAY,
            extra=extra,
            terminal=terminal,
            localtime=localtime,
        )

    return make


def names(contribution: Contribution) -> set[str]:
    """The variables that are exported as they are."""
    return {line.removeprefix("export ").partition("=")[0] for line in contribution.lines if line.startswith("export ")}


# Which variables


FOR_ALL = """COLORTERM TERM_PROGRAM TERM_PROGRAM_VERSION LC_TERMINAL NO_COLOR FORCE_COLOR CLICOLOR COLORFGBG http_proxy
    HTTP_PROXY https_proxy HTTPS_PROXY all_proxy ALL_PROXY no_proxy NO_PROXY GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL
    GIT_AUTHOR_DATE GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL GIT_COMMITTER_DATE GH_TOKEN GITHUB_TOKEN GH_HOST
    GH_ENTERPRISE_TOKEN""".split()
ANTHROPIC = """ANTHROPIC_API_KEY ANTHROPIC_AUTH_TOKEN ANTHROPIC_BASE_URL ANTHROPIC_MODEL ANTHROPIC_DEFAULT_OPUS_MODEL
    ANTHROPIC_DEFAULT_HAIKU_MODEL ANTHROPIC_SMALL_FAST_MODEL ANTHROPIC_CUSTOM_HEADERS ANTHROPIC_BEDROCK_BASE_URL
    ANTHROPIC_VERTEX_PROJECT_ID ANTHROPIC_FOUNDRY_RESOURCE CLAUDE_CODE_OAUTH_TOKEN CLAUDE_CODE_USE_BEDROCK
    CLAUDE_CODE_USE_VERTEX CLAUDE_CODE_USE_FOUNDRY CLAUDE_CODE_SKIP_BEDROCK_AUTH MAX_THINKING_TOKENS API_TIMEOUT_MS
    BASH_DEFAULT_TIMEOUT_MS BASH_MAX_TIMEOUT_MS MCP_TIMEOUT DISABLE_TELEMETRY DISABLE_ERROR_REPORTING
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC""".split()
OPENAI = """OPENAI_API_KEY OPENAI_BASE_URL OPENAI_ORGANIZATION OPENAI_PROJECT CODEX_API_KEY CODEX_ACCESS_TOKEN
    CODEX_OSS_BASE_URL AZURE_OPENAI_API_KEY AZURE_OPENAI_ENDPOINT""".split()
PROVIDERS = """OPENROUTER_API_KEY GEMINI_API_KEY GOOGLE_GENERATIVE_AI_API_KEY GOOGLE_CLOUD_PROJECT GROQ_API_KEY
    MISTRAL_API_KEY XAI_API_KEY DEEPSEEK_API_KEY OPENCODE_API_KEY OPENCODE_PERMISSION OPENCODE_CONFIG_CONTENT""".split()
NEVER = """CLAUDECODE CLAUDE_CODE_ENTRYPOINT CLAUDE_CODE_SSE_PORT CLAUDE_CODE_SESSION_ID CLAUDE_CODE_CHILD_SESSION
    CLAUDE_BG_BACKEND OPENCODE_PID OPENCODE_ROUTE PATH HOME SHELL USER LOGNAME TMPDIR XDG_RUNTIME_DIR XDG_DATA_DIRS
    DYLD_INSERT_LIBRARIES LD_PRELOAD LD_LIBRARY_PATH SSH_AUTH_SOCK SSH_CONNECTION NODE_OPTIONS PYTHONPATH AGENTVM_YOLO
    AGENTVM_SESSION HOMEBREW_PREFIX NVM_DIR VIRTUAL_ENV VSCODE_IPC_HOOK TMUX STY ITERM_SESSION_ID KITTY_WINDOW_ID
    BASH_ENV ENV IFS UID EUID PPID SHELLOPTS BASHOPTS BASH_VERSION PWD GIT_CONFIG_COUNT GIT_DIR LANGUAGE TERMINFO
    state npm path status _ OPENCODE_DB OPENCODE_DISABLE_AUTOUPDATE CODEX_SQLITE_HOME CODEX_HOME CLAUDE_CONFIG_DIR""".split()
CLOUDS = """AWS_REGION AWS_PROFILE AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_BEARER_TOKEN_BEDROCK CLOUD_ML_REGION
    NPM_TOKEN NPM_CONFIG_REGISTRY""".split()
HOST_PATHS = (
    """GOOGLE_APPLICATION_CREDENTIALS OPENCODE_CONFIG OPENCODE_CONFIG_DIR OPENCODE_ZED_DB OPENCODE_BIN_PATH""".split()
)
ALL = dict.fromkeys((*FOR_ALL, *ANTHROPIC, *OPENAI, *PROVIDERS, *NEVER, *CLOUDS, *HOST_PATHS, "DATABASE_URL"), "x")


@pytest.mark.parametrize(
    ("agent", "own"),
    [
        ("claude", ANTHROPIC),
        ("codex", OPENAI),
        ("opencode", ANTHROPIC + OPENAI + PROVIDERS),
        ("gh", []),
        ("", []),
    ],
)
def test_each_program_gets_its_own(plan: Plan, agent: str, own: list[str]) -> None:
    assert names(plan(ALL, agent)) == {*FOR_ALL, *own}


@pytest.mark.parametrize("extra", ["*", "*_*", "L*", "P*", "s*", *NEVER])
def test_never_wins_over_everything(plan: Plan, guest: Guest, extra: str) -> None:
    made = plan(ALL, "opencode", ("*", extra))
    assert not names(made) & set(NEVER)
    after = guest.environment_after(made)
    assert after["PATH"].startswith(str(guest.root)), "and no shell stumbles over what is passed"
    assert after["DATABASE_URL"] == "x"


def test_what_the_user_names_is_passed_to_everything(plan: Plan) -> None:
    environment = {"NPM_TOKEN": "1", "AWS_REGION": "2", "AWS_": "3", "AWSX": "4", "OPENCODE_CONFIG": "/x"}
    assert names(plan(environment, "", ("NPM_TOKEN", "AWS_*", "GONE"))) == {"NPM_TOKEN", "AWS_REGION", "AWS_"}
    assert names(plan(environment, "opencode", ("OPENCODE_CONFIG",))) == {"OPENCODE_CONFIG"}


@pytest.mark.parametrize("name", ["A-B", "A B", "1A", "A;id", "$(id)", "BASH_FUNC_x%%", "Ä", "A\n", ""])
def test_names_that_no_shell_takes_stay_outside(plan: Plan, guest: Guest, name: str) -> None:
    made = plan({name: "x", "GOOD": "y"}, "", ("*", name))
    assert names(made) == {"GOOD"}
    assert guest.environment_after(made)["GOOD"] == "y"


def test_values_arrive_byte_for_byte(plan: Plan, guest: Guest) -> None:
    values = {f"V_{number}": value for number, value in enumerate(HOSTILE)} | {"ANTHROPIC_CUSTOM_HEADERS": "A: b\nC: d"}
    after = guest.environment_after(plan(values, "claude", ("V_*",)))
    assert {name: after[name] for name in values} == values


def test_values_that_can_not_travel(plan: Plan) -> None:
    made = plan({"V_NUL": "a\0b", "V_LONG": "x" * 40_000, "V_WIDE": "é" * 20_000, "V_OK": "x" * 20_000}, "", ("V_*",))
    assert names(made) == {"V_OK"}
    assert [notice.split()[0] for notice in made.notices] == ["V_LONG", "V_WIDE"]


@pytest.mark.parametrize("program", ["vscode", "cursor", "Cursor"])
def test_an_editors_terminal_is_not_told(plan: Plan, program: str) -> None:
    found = {"TERM_PROGRAM": program, "TERM_PROGRAM_VERSION": "1", "COLORTERM": "truecolor"}
    assert names(plan(found, "claude")) == {"COLORTERM"}
    assert "TERM_PROGRAM" in names(plan(found | {"TERM_PROGRAM": "ghostty"}, "claude"))


@pytest.mark.parametrize(
    ("name", "pattern", "result"),
    [
        ("A", "A", True),
        ("A", "AB", False),
        ("AB", "A", False),
        ("A_", "A_*", True),
        ("A_B_C", "A_*_C", True),
        ("A_C", "A_*_C", False),
        ("A__C", "A_*_C", True),
        ("X_KEY", "*_KEY", True),
        ("", "*", True),
        ("A.B", "A.*", True),
        ("AxB", "A.B", False),
        ("A[B", "A[*", True),
    ],
)
def test_patterns(name: str, pattern: str, result: bool) -> None:
    assert matches(name, pattern) is result


def test_patterns_that_mean_nothing() -> None:
    assert is_never_pattern("LD_*")
    assert is_never_pattern("CLAUDE_BG_X*")
    assert not is_never_pattern("L*")
    assert is_never("state")
    assert not is_never("http_proxy")


# localhost


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost", "http://GW"),
        ("http://localhost/", "http://GW/"),
        ("http://localhost:4000", "http://GW:4000"),
        ("http://localhost:4000/v1?x=localhost#localhost", "http://GW:4000/v1?x=localhost#localhost"),
        ("HTTP://LOCALHOST:1", "HTTP://GW:1"),
        ("https://127.0.0.1:8443/a", "https://GW:8443/a"),
        ("http://127.8.9.10", "http://GW"),
        ("http://[::1]:11434/v1", "http://GW:11434/v1"),
        ("http://[::1]", "http://GW"),
        ("http://0.0.0.0:80", "http://GW:80"),
        ("http://user:password@localhost:3128", "http://user:password@GW:3128"),
        ("http://user:p%40ss@127.0.0.1:3128/", "http://user:p%40ss@GW:3128/"),
        ("http://localhost@localhost:1", "http://localhost@GW:1"),
        ("http://a@b@localhost:1", "http://a@b@GW:1"),
        ("socks5h://localhost:1080", "socks5h://GW:1080"),
        ("localhost:3128", "GW:3128"),
        ("localhost", "GW"),
        ("user:pw@localhost:3128", "user:pw@GW:3128"),
        ("[::1]:3128", "GW:3128"),
        ("localhost?u=http://x", "GW?u=http://x"),
        ("localhost/x?u=http://x", "GW/x?u=http://x"),
        ("http://localhost:?x", "http://GW:?x"),
        *(
            (url, url)
            for url in (
                "",
                " ",
                "http://",
                "://localhost:x",
                "https://api.example.com",
                "https://localhost.example.com",
                "https://notlocalhost",
                "http://localhost@example.com",
                "http://localhost:80@example.com",
                "http://example.com/localhost",
                "http://example.com?http://localhost",
                "http://example.com#@localhost",
                "http://127.0.0.1.example.com",
                "http://128.0.0.1",
                "http://127.0.0",
                "http://127.0.0.256",
                "http://127.0.0.x",
                "http://1270.0.0.1",
                "http://[::2]:80",
                "http://[::1",
                "http://[::1]x",
                "http://::1",
                "http://localhost:port",
                "http://localhost:123456",
                "http://localhost:٣",
                "unix:///tmp/localhost",
                "/tmp/localhost",
                "http:localhost",
                "http:/localhost",
            )
        ),
    ],
)
def test_this_machine_as_the_host_of_a_url(url: str, expected: str) -> None:
    assert to_gateway(url, GATEWAY) == expected.replace("GW", GATEWAY)


HERE = st.sampled_from(["localhost", "LocalHost", "127.0.0.1", "127.255.0.9", "[::1]", "0.0.0.0"])
ELSEWHERE = st.sampled_from(["example.com", "localhost.example.com", "10.0.0.1", "[fe80::1]", "127x", "a-b.c"])
TEXT = st.text(st.sampled_from("abcXYZ019._~%!$&'()*+,;=:localhost-"), max_size=12)
TAIL = st.text(st.sampled_from("abc/?#@:[].=&localhost127"), max_size=12).map(lambda text: text and "/" + text)


@given(
    st.sampled_from(["http", "https", "socks5h"]),
    st.none() | TEXT,
    HERE | ELSEWHERE,
    st.none() | st.integers(0, 65535),
    TAIL,
)
@example("http", "a:b", "[::1]", 1, "/@localhost")
def test_only_the_host_changes(scheme: str, user: str | None, host: str, port: int | None, tail: str) -> None:
    url = f"{scheme}://{'' if user is None else user + '@'}{host}{'' if port is None else f':{port}'}{tail}"
    before, after = urlsplit(url), urlsplit(to_gateway(url, GATEWAY))
    here = before.hostname in ("localhost", "::1", "0.0.0.0") or (before.hostname or "").startswith("127.")
    assert after.hostname == (GATEWAY if here else before.hostname)
    same = [(u.scheme, u.username, u.password, u.port, u.path, u.query, u.fragment) for u in (before, after)]
    assert same[0] == same[1]
    if not here:
        assert to_gateway(url, GATEWAY) == url


@given(st.text(st.sampled_from("localhost127.0[]:@/?#\\ \n%x"), max_size=30) | st.text(max_size=30))
def test_any_text_comes_through(text: str) -> None:
    once = to_gateway(text, GATEWAY)
    assert to_gateway(once, GATEWAY) == once
    assert once == text or GATEWAY in once


def test_which_variables_have_a_place_in_them() -> None:
    url = "http://localhost:1"
    places = "ANTHROPIC_BASE_URL AZURE_OPENAI_ENDPOINT LITELLM_API_BASE http_proxy HTTPS_PROXY ALL_PROXY all_proxy"
    others = "ANTHROPIC_CUSTOM_HEADERS DATABASE_URL GH_HOST OPENCODE_CONFIG_CONTENT NO_COLOR"
    found = reach_host(dict.fromkeys(f"{places} {others}".split(), url), GATEWAY)
    assert {name for name, value in found.items() if value == f"http://{GATEWAY}:1"} == set(places.split())
    assert {name for name, value in found.items() if value == url} == set(others.split())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("localhost", "localhost,GW"),
        ("localhost,127.0.0.1,::1", "localhost,127.0.0.1,::1,GW"),
        ("example.com, 127.0.0.1 ,", "example.com, 127.0.0.1,GW"),
        ("example.com LOCALHOST", "example.com LOCALHOST,GW"),
        ("::1", "::1,GW"),
        ("[::1]", "[::1],GW"),
        ("127.0.0.0/8", "127.0.0.0/8,GW"),
        ("localhost:4000", "localhost:4000,GW"),
        ("localhost,GW", "localhost,GW"),
        ("*", "*"),
        ("localhost,*", "localhost,*"),
        ("example.com", "example.com"),
        ("notlocalhost", "notlocalhost"),
        ("", ""),
    ],
)
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_the_gateway_needs_no_proxy_where_localhost_needs_none(name: str, value: str, expected: str) -> None:
    value = value.replace("GW", GATEWAY)
    found = reach_host({name: value, "OPENAI_BASE_URL": "http://localhost:1"}, GATEWAY)
    assert found[name] == expected.replace("GW", GATEWAY)
    same = {name: value, "OPENAI_BASE_URL": "https://example.com"}
    assert reach_host(same, GATEWAY) == same


# Names from the agents' own configuration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '[model_providers.a]\nenv_key = "ACME_API_KEY"\n[model_providers.b]\nenv_key = "B_TOKEN"',
            ("ACME_API_KEY", "B_TOKEN"),
        ),
        ('[model_providers.a]\nenv_key = "A_KEY"\n[model_providers.b]\nenv_key = "A_KEY"', ("A_KEY",)),
        ('# env_key\nmodel = "x"', ()),
        ('env_key = "A_KEY"', ()),
        ("model_providers = 3 # env_key", ()),
        ("model_providers = { a = 3 } # env_key", ()),
        ("[model_providers.a]\nenv_key = 3", ()),
        ("[model_providers.a]\nenv_key = ['A_KEY']", ()),
        ('[model_providers.a]\nenv_key = "A_KEY', ()),
        ("env_key = " + "[" * 100_000, ()),
        ('[model_providers.a]\nenv_key = "A_KEY"\n#' + "x" * 1_000_001, ()),
        *(
            (f'[model_providers.a]\nenv_key = "{name}"', ())
            for name in "PATH LD_KEY SSH_KEY AGENTVM_KEY AWS_SECRET_ACCESS_KEY NPM_TOKEN VAULT_TOKEN DB_PASSWORD A-KEY".split()
        ),
    ],
)
def test_keys_of_codex(text: str, expected: tuple[str, ...]) -> None:
    assert codex_keys(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"apiKey": "{env:ACME_API_KEY}", "baseURL": "{env:ACME_BASE_URL}"}', ("ACME_API_KEY", "ACME_BASE_URL")),
        ('{"a": "x{env:A_KEY}y{env:A_KEY}"}', ("A_KEY",)),
        ("{env:A_KEY", ("A_KEY",)),
        ("{env:}{env:{env:A_KEY}", ("A_KEY",)),
        ("{env: A_KEY}{env:A KEY}{env:$A_KEY}{ENV:A_KEY}", ()),
        ("{env:PATH}{env:HOME}{env:SSH_KEY}{env:AWS_SESSION_TOKEN}{env:DATABASE_PASSWORD}", ()),
        ("x" * 1_000_000 + "{env:A_KEY}", ()),
        ("", ()),
    ],
)
def test_keys_of_opencode(text: str, expected: tuple[str, ...]) -> None:
    assert opencode_keys(text) == expected


def test_a_configuration_can_not_ask_for_many() -> None:
    assert len(opencode_keys("".join(f"{{env:A{number}_KEY}}" for number in range(1000)))) == 32


# Locale


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("en_US.UTF-8", "en_US.utf8"),
        ("en_US.utf8", "en_US.utf8"),
        ("de_DE", "de_DE"),
        ("de_DE@euro", "de_DE@euro"),
        ("de_DE.ISO-8859-15@euro", "de_DE.iso885915@euro"),
        ("ru_RU.8859-5", "ru_RU.iso88595"),
        ("zh_CN.GB18030", "zh_CN.gb18030"),
    ],
)
def test_the_spelling_of_glibc(name: str, key: str) -> None:
    assert locale_key(name) == key


def test_the_spelling_is_that_of_this_machine() -> None:
    said = subprocess.run(["locale", "-a"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    assert locale_key("C.UTF-8") in said


@pytest.mark.parametrize(
    ("host_has", "guest_gets"),
    [
        ({}, {"LANG": "C.UTF-8"}),
        ({"LANG": ""}, {"LANG": "C.UTF-8"}),
        ({"LANG": "C"}, {"LANG": "C.UTF-8"}),
        ({"LANG": "POSIX"}, {"LANG": "C.UTF-8"}),
        ({"LANG": "C.UTF-8"}, {"LANG": "C.UTF-8"}),
        ({"LC_CTYPE": "UTF-8"}, {"LANG": "C.UTF-8", "LC_CTYPE": "C.UTF-8"}),
        ({"LANG": "de_DE.UTF-8", "LC_CTYPE": "UTF-8"}, {"LANG": "de_DE.UTF-8", "LC_CTYPE": "C.UTF-8"}),
        ({"LANG": "de_DE.UTF-8"}, {"LANG": "de_DE.UTF-8"}),
        ({"LANG": "de_DE.utf8"}, {"LANG": "de_DE.utf8"}),
        ({"LANG": "fr_FR.UTF-8"}, {"LANG": "C.UTF-8"}),
        ({"LANG": "de"}, {"LANG": "C.UTF-8"}),
        ({"LANG": "de_DE.UTF-8", "LC_ALL": "fr_FR.UTF-8"}, {"LANG": "de_DE.UTF-8", "LC_ALL": "C.UTF-8"}),
        ({"LANG": "de_DE.UTF-8", "LC_TIME": "fr_FR.UTF-8"}, {"LANG": "de_DE.UTF-8"}),
        ({"LANG": "de_DE.UTF-8", "LC_TIME": "en_US.UTF-8"}, {"LANG": "de_DE.UTF-8", "LC_TIME": "en_US.UTF-8"}),
        ({"LANG": "de_DE.UTF-8", "LC_ALL": "C"}, {"LANG": "de_DE.UTF-8", "LC_ALL": "C"}),
        ({"LANG": "de_DE.UTF-8", "LC_COLLATE": "C"}, {"LANG": "de_DE.UTF-8", "LC_COLLATE": "C"}),
        ({"LANG": "de_DE.UTF-8", "LANGUAGE": "de:en"}, {"LANG": "de_DE.UTF-8"}),
        *(({"LANG": value}, {"LANG": "C.UTF-8"}) for value in (*HOSTILE, "../../etc", "*", "x" * 100, "a b")),
        *(({"LANG": "C.UTF-8", "LC_TIME": value}, {"LANG": "C.UTF-8"}) for value in (*HOSTILE, "../../etc", "?")),
    ],
)
def test_locales(plan: Plan, guest: Guest, host_has: dict[str, str], guest_gets: dict[str, str]) -> None:
    guest.locales("C", "C.utf8", "POSIX", "de_DE.utf8", "en_US.utf8")
    before = {"LC_TIME": "xx_XX.UTF-8"} if "LC_TIME" in host_has else {}
    after = guest.environment_after(plan(host_has, extra=("*",)), **before)
    assert {name: value for name, value in after.items() if name.startswith(("LANG", "LC_"))} == guest_gets


def test_the_guests_own_default_stays_when_the_host_has_none(plan: Plan, guest: Guest) -> None:
    assert guest.environment_after(plan({}), LANG="en_US.UTF-8")["LANG"] == "en_US.UTF-8"


def test_a_guest_is_asked_once_for_its_locales(plan: Plan, guest: Guest) -> None:
    guest.locales("C.utf8")
    german = plan({"LANG": "de_DE.UTF-8"})
    for _ in range(3):
        assert guest.environment_after(german)["LANG"] == "C.UTF-8"
    assert guest.asked == 1


@pytest.mark.parametrize("place", ["locale", "locale/locale-archive"])
def test_new_locales_are_seen(plan: Plan, guest: Guest, place: str) -> None:
    guest.locales("C.utf8")
    german = plan({"LANG": "de_DE.UTF-8"})
    guest.environment_after(german)
    guest.file("locale/locale-archive")
    for path, age in (("locale", -50), ("locale/locale-archive", -50), (place, 50)):
        now = guest.root.stat().st_mtime
        os.utime(guest.root / path, (now + age, now + age))
    guest.locales("C.utf8", "de_DE.utf8")
    if place != "locale":
        os.utime(guest.root / "locale", (1, 1))
    assert guest.environment_after(german)["LANG"] == "de_DE.UTF-8"


@pytest.mark.parametrize("content", ["", "\n", "$(id)\n", "'\n", "de_DE.utf8 \0\n"])
def test_a_spoilt_list_of_locales_does_no_harm(plan: Plan, guest: Guest, content: str) -> None:
    guest.locales("C.utf8", "xx.utf8")
    guest.file("a home/.local/state/agentvm/locales")
    (guest.home / ".local/state/agentvm/locales").write_text(content)
    os.utime(guest.root / "locale", (1, 1))
    assert guest.environment_after(plan({"LANG": "fr_FR.UTF-8"}))["LANG"] == "C.UTF-8"


def test_a_guest_without_the_program_locale(plan: Plan, guest: Guest) -> None:
    assert guest.environment_after(plan({"LANG": "de_DE.UTF-8", "LC_ALL": "C.utf8"}))["LANG"] == "C.UTF-8"


# Time zone


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        (":Europe/Berlin", "Europe/Berlin"),
        ("UTC", "UTC"),
        ("Etc/GMT+5", "Etc/GMT+5"),
        ("America/Argentina/Buenos_Aires", "America/Argentina/Buenos_Aires"),
        ("/usr/share/zoneinfo/Europe/Berlin", "Europe/Berlin"),
        (":/usr/share/zoneinfo/Europe/Berlin", "Europe/Berlin"),
        ("../usr/share/zoneinfo/posix/Europe/Berlin", "Europe/Berlin"),
        ("/var/db/timezone/zoneinfo/Asia/Tokyo", "Asia/Tokyo"),
        *(
            (text, "")
            for text in (
                "",
                ":",
                "/",
                "/etc/localtime",
                "::Europe/Berlin",
                "../Europe",
                "Europe/../../etc/passwd",
                "/usr/share/zoneinfo/../../etc/passwd",
                "/usr/share/zoneinfo/",
                "Europe//Berlin",
                "Europe/",
                "CET-1CEST,M3.5.0,M10.5.0/3",
                "<+03>-3",
                "-x",
                "x" * 65,
                *(value for value in HOSTILE if value != "-n"),
            )
        ),
    ],
)
def test_names_of_zones(text: str, zone: str) -> None:
    assert zone_name(text) == zone


@pytest.mark.parametrize(
    ("variable", "localtime", "expected"),
    [
        ("Asia/Tokyo", "/usr/share/zoneinfo/Europe/Berlin", "Asia/Tokyo"),
        ("", "/usr/share/zoneinfo/Europe/Berlin", "Europe/Berlin"),
        ("/etc/localtime", "/var/db/timezone/zoneinfo/Europe/Berlin", "Europe/Berlin"),
        ("Mars/Olympus", "/usr/share/zoneinfo/Europe/Berlin", None),
        ("Europe", "", None),
        ("", "", None),
    ],
)
def test_time_zones(plan: Plan, guest: Guest, variable: str, localtime: str, expected: str | None) -> None:
    guest.file("zones/Europe/Berlin")
    guest.file("zones/Asia/Tokyo")
    after = guest.environment_after(plan({"TZ": variable}, localtime=localtime, extra=("TZ",)))
    assert after.get("TZ") == expected


def test_the_link_of_this_machine() -> None:
    found = read_localtime()
    assert found == (os.readlink("/etc/localtime") if os.path.islink("/etc/localtime") else "")


# Terminal


@pytest.mark.parametrize(
    ("term", "files", "expected"),
    [
        ("xterm-ghostty", [], "xterm-256color"),
        ("xterm-ghostty", ["share-terminfo/x/xterm-ghostty"], "xterm-ghostty"),
        ("xterm-ghostty", ["etc-terminfo/78/xterm-ghostty"], "xterm-ghostty"),
        ("xterm-ghostty", ["a home/.terminfo/x/xterm-ghostty"], "xterm-ghostty"),
        ("xterm-ghostty", ["a home/.terminfo/x/xterm"], "xterm-256color"),
        ("xterm-256color", [], "xterm-256color"),
        ("tmux-256color", ["share-terminfo/t/tmux-256color"], "tmux-256color"),
        ("tmux-256color", ["share-terminfo/s/screen-256color"], "screen-256color"),
        ("screen.xterm-256color", ["share-terminfo/73/screen-256color"], "screen-256color"),
        ("tmux-256color", [], "xterm-256color"),
        ("dumb", [], "dumb"),
        ("", ["share-terminfo/x/xterm"], None),
        *((term, ["share-terminfo/x/xterm"], "xterm-256color") for term in (*HOSTILE, "../x/xterm", "x/xterm", "..")),
    ],
)
def test_terminals(plan: Plan, guest: Guest, term: str, files: list[str], expected: str | None) -> None:
    for path in files:
        guest.file(path)
    after = guest.environment_after(plan({"TERM": term}, terminal=True, extra=("*",)))
    assert after.get("TERM") == expected


def test_no_terminal_no_term(plan: Plan) -> None:
    assert "TERM" not in "".join(plan({"TERM": "xterm"}, extra=("TERM",)).lines)


def test_a_terminal_that_this_machine_knows(plan: Plan) -> None:
    """In the real directories."""
    made = plan({"TERM": "xterm"}, terminal=True)
    script = "\n".join((made.functions, *made.lines, 'echo "$TERM"'))
    done = subprocess.run(
        ["sh", "-s"], input=script, env={"HOME": "/nowhere"}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "xterm\n"


# Editor


@pytest.mark.parametrize(
    ("value", "there"),
    [
        ("vim", True),
        ("vim -p --cmd 'set x'", True),
        ("DIRECTORY/vim", True),
        ("nano", False),
        ("code --wait", False),
        ("/opt/homebrew/bin/vim", False),
        ("'vim'", False),
        ("$(vim)", False),
        ("A=b vim", False),
        ("~/vim", False),
        ("-v", False),
        ("", False),
        ("  ", False),
        ("vim;id", False),
        ("vim " + "x" * 2000, False),
        *((value, False) for value in HOSTILE),
    ],
)
@pytest.mark.parametrize("name", ["EDITOR", "VISUAL", "PAGER", "GIT_EDITOR"])
def test_editors_that_are_in_the_guest(plan: Plan, guest: Guest, name: str, value: str, there: bool) -> None:
    guest.program("vim")
    value = value.replace("DIRECTORY", f"{guest.root}/bin")
    after = guest.environment_after(plan({name: value}, extra=("*",)))
    assert after.get(name) == (value if there else None)


# Together


@pytest.mark.parametrize("shell", FOUND)
def test_a_warm_session_starts_no_process(plan: Plan, tmp_path: Path, shell: str) -> None:
    """With the list of locales made, the lines run where the PATH has nothing but the editor."""
    state = tmp_path / ".local/state/agentvm"
    state.mkdir(parents=True)
    (state / "locales").write_text("C.utf8 de_DE.utf8\n")
    (tmp_path / "vim").write_text("#!/bin/sh\n")
    (tmp_path / "vim").chmod(0o755)
    host_has = ALL | {"LANG": "de_DE.UTF-8", "LC_TIME": "fr_FR.UTF-8", "TERM": "xterm-none", "EDITOR": "vim"}
    made = plan(host_has, "opencode", terminal=True, localtime="/usr/share/zoneinfo/UTC")
    lines = (line.replace(LOCALES, "/nowhere") for line in made.lines)
    script = "\n".join(("state=$HOME/.local/state/agentvm", made.functions, *lines, 'echo "$LANG $TERM $EDITOR"'))
    done = subprocess.run(
        [*FOUND[shell], "-s"],
        input=script.encode(),
        env={"HOME": str(tmp_path), "PATH": str(tmp_path)},
        capture_output=True,
        check=True,
    )
    assert (done.stdout, complaints(done.stderr)) == (b"de_DE.UTF-8 xterm-256color vim\n", [])
