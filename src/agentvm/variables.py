"""Which of the host's variables may go into a guest: the lists, and how a name is held against them.

Everything is too much for a guest that nobody trusts, so a variable stays outside unless a list has it. What each
program reads was found by running claude 2.1, codex 0.169 and opencode 1.18.
"""

from __future__ import annotations

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "ftp_proxy")
NO_PROXY = "no_proxy"
"""Programs disagree on the case of these, so each is passed as it is found: in both."""

CERTIFICATES = tuple(
    """NODE_EXTRA_CA_CERTS SSL_CERT_FILE CODEX_CA_CERTIFICATE REQUESTS_CA_BUNDLE CURL_CA_BUNDLE GIT_SSL_CAINFO
    AWS_CA_BUNDLE""".split()
)
"""Each names a file of certificates on the host."""

LOCALE = tuple(
    """LANG LC_ALL LC_CTYPE LC_NUMERIC LC_TIME LC_COLLATE LC_MONETARY LC_MESSAGES LC_PAPER LC_NAME LC_ADDRESS
    LC_TELEPHONE LC_MEASUREMENT LC_IDENTIFICATION""".split()
)
EDITORS = ("EDITOR", "VISUAL", "PAGER", "GIT_EDITOR")

_TERMINAL = """COLORTERM TERM_PROGRAM TERM_PROGRAM_VERSION LC_TERMINAL NO_COLOR FORCE_COLOR CLICOLOR COLORFGBG"""
_GIT = """GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_AUTHOR_DATE GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL GIT_COMMITTER_DATE"""
_GITHUB = """GH_TOKEN GITHUB_TOKEN GH_HOST GH_ENTERPRISE_TOKEN GITHUB_ENTERPRISE_TOKEN"""
_ANTHROPIC = """ANTHROPIC_API_KEY ANTHROPIC_AUTH_TOKEN ANTHROPIC_BASE_URL ANTHROPIC_MODEL ANTHROPIC_DEFAULT_*_MODEL
    ANTHROPIC_SMALL_FAST_MODEL ANTHROPIC_CUSTOM_HEADERS ANTHROPIC_BEDROCK_* ANTHROPIC_VERTEX_* ANTHROPIC_FOUNDRY_*
    CLAUDE_CODE_OAUTH_TOKEN CLAUDE_CODE_USE_BEDROCK CLAUDE_CODE_USE_VERTEX CLAUDE_CODE_USE_FOUNDRY
    CLAUDE_CODE_SKIP_*_AUTH CLAUDE_CODE_MAX_OUTPUT_TOKENS CLAUDE_CODE_SUBAGENT_MODEL MAX_THINKING_TOKENS
    API_TIMEOUT_MS BASH_*_TIMEOUT_MS MCP_TIMEOUT DISABLE_TELEMETRY DISABLE_ERROR_REPORTING
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC"""
_OPENAI = """OPENAI_API_KEY OPENAI_BASE_URL OPENAI_ORGANIZATION OPENAI_PROJECT CODEX_API_KEY CODEX_ACCESS_TOKEN
    CODEX_OSS_BASE_URL AZURE_OPENAI_*"""
_PROVIDERS = """OPENROUTER_API_KEY GEMINI_API_KEY GOOGLE_* GROQ_API_KEY MISTRAL_API_KEY XAI_API_KEY DEEPSEEK_API_KEY
    OPENCODE_*"""

EVERYWHERE = (
    *_TERMINAL.split(),
    *_GIT.split(),
    *_GITHUB.split(),
    *(spelling for name in (*PROXIES, NO_PROXY) for spelling in (name, name.upper())),
)
AGENTS = {
    "claude": tuple(_ANTHROPIC.split()),
    "codex": tuple(_OPENAI.split()),
    "opencode": (*_ANTHROPIC.split(), *_OPENAI.split(), *_PROVIDERS.split()),
}
"""What an agent gets besides, by its name. gh and a shell get no more than everything does."""

# Marks of a session around this one; what describes the host's machine, files, sockets and terminal; what makes a
# program load code; what a shell reads as its own; and what agentvm sets itself. UID and its like are read-only in
# bash, where exporting them would end the session.
_NEVER = tuple(
    """CLAUDECODE CLAUDE_CODE_ENTRYPOINT CLAUDE_CODE_SSE_PORT CLAUDE_CODE_SESSION_* CLAUDE_CODE_CHILD_SESSION CLAUDE_BG_*
    OPENCODE OPENCODE_PID OPENCODE_ROUTE OPENCODE_EDITOR_SSE_PORT OPENCODE_TERMINAL OPENCODE_WORKSPACE_ID VSCODE_*
    CURSOR_TRACE_ID TMUX TMUX_* STY ITERM_SESSION_ID KITTY_* WEZTERM_* TERM_SESSION_ID TERMINFO TERMINFO_DIRS TERMCAP
    WINDOWID DISPLAY WAYLAND_DISPLAY XAUTHORITY DBUS_SESSION_BUS_ADDRESS BROWSER
    PATH MANPATH HOME SHELL USER USERNAME LOGNAME MAIL HOSTNAME HOSTTYPE MACHTYPE OSTYPE PWD OLDPWD CDPATH TMPDIR TMP
    TEMP XDG_* HOMEBREW_* NVM_* VIRTUAL_ENV CONDA_* LANGUAGE LOCPATH LINES COLUMNS
    DYLD_* LD_* GCONV_PATH NODE_OPTIONS NODE_PATH PYTHONPATH PYTHONHOME PYTHONSTARTUP PERL5LIB PERL5OPT RUBYLIB RUBYOPT
    SSH_* GIT_ASKPASS SUDO_* GIT_CONFIG_* GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_COMMON_DIR GIT_EXEC_PATH
    ENV BASH BASH_ENV BASH_VERSION BASH_VERSINFO BASHOPTS BASHPID BASH_ARGV0 SHELLOPTS POSIXLY_CORRECT IFS PS1 PS2 PS4
    SHLVL UID EUID PPID GROUPS OPTIND OPTARG OPTERR FUNCNAME RANDOM SECONDS LINENO _ AGENTVM AGENTVM_*
    CLAUDE_CONFIG_DIR CLAUDE_SECURESTORAGE_CONFIG_DIR DISABLE_AUTOUPDATER CODEX_HOME CODEX_SQLITE_HOME OPENCODE_DB
    OPENCODE_DISABLE_AUTOUPDATE GH_CONFIG_DIR""".split()
)
_HANDLED = frozenset((*CERTIFICATES, *LOCALE, *EDITORS, "SSL_CERT_DIR", "TERM", "TZ"))
"""These go by rules of their own, not as they are."""
_PATHS = ("_DIR", "_PATH", "_FILE", "_HOME", "_DB", "_CONFIG", "_CREDENTIALS", "_SOCK", "_SOCKET")
"""So end the names of variables that name a place on the host."""

_CLOUDS = tuple(
    """AWS_* AZURE_* ARM_* GOOGLE_* GCP_* NPM_* PYPI_* TWINE_* VAULT_* KUBE* DOCKER_* CLOUDFLARE_* DIGITALOCEAN_* SLACK_*
    STRIPE_* OP_* BW_* SENTRY_* DATADOG_* DD_*""".split()
)
_PROVIDER_ENDS = ("_KEY", "_TOKEN", "_URL", "_ENDPOINT", "_API_BASE")


def matches(name: str, pattern: str) -> bool:
    """Whether a name is what a pattern with at most one `*` says."""
    start, star, end = pattern.partition("*")
    if not star:
        return name == pattern
    return len(name) >= len(start) + len(end) and name.startswith(start) and name.endswith(end)


def is_name(text: str) -> bool:
    """Whether a shell takes it as a variable's name."""
    return text.isascii() and text.isidentifier()


def is_never(name: str) -> bool:
    """Whether a variable must not be passed, whoever asks.

    Words in lower case are the session script's own variables: a `state` from the host would lead it astray.
    """
    return (name.islower() and "_" not in name) or any(matches(name, pattern) for pattern in _NEVER)


def is_never_pattern(pattern: str) -> bool:
    """The same for `PREFIX_*`, when there is nothing that it could mean."""
    start, star, _ = pattern.partition("*")
    if not star:
        return is_never(pattern)
    return any(never.endswith("*") and start.startswith(never[:-1]) for never in _NEVER)


def passed(environment: dict[str, str], agent: str, extra: tuple[str, ...]) -> dict[str, str]:
    """Of the host's variables those that this program gets: by our lists, and by the names and patterns of `extra`."""
    listed = EVERYWHERE + AGENTS.get(agent, ())
    names, patterns = frozenset(listed), [pattern for pattern in listed if "*" in pattern]
    return {
        name: value
        for name, value in sorted(environment.items())
        if (name in names or _fits(name, patterns) or any(matches(name, pattern) for pattern in extra))
        and is_name(name)
        and name not in _HANDLED
        and not is_never(name)
    }


def _fits(name: str, patterns: list[str]) -> bool:
    """A pattern of ours is no reason to pass the path of a file that the guest doesn't have."""
    return not name.endswith(_PATHS) and any(matches(name, pattern) for pattern in patterns)


def is_providers(name: str) -> bool:
    """Whether a name that an agent's configuration asks for may be a model provider's.

    A guest can write that configuration, so its word must not be enough to fetch any secret of the host's.
    """
    if not is_name(name) or is_never(name) or name in _HANDLED or not name.endswith(_PROVIDER_ENDS):
        return False
    return not any(matches(name, pattern) for pattern in _CLOUDS)
