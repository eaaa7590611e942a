"""git in a guest as on the host: the same identity and settings, and no program or key that only the host has.

The guest's copy of ~/.gitconfig gets a section at its end; what has to win over every file, the project's own too, goes
into the variables GIT_CONFIG_COUNT, GIT_CONFIG_KEY_n and GIT_CONFIG_VALUE_n of the session. Identity is not among them:
a repository that a test suite in the guest makes with an identity of its own must keep it. Nothing is changed on the
host, and nothing is written to git's files in the guest.
"""

from __future__ import annotations

import os

from agentvm.console import one_line
from agentvm.errors import Error
from agentvm.gitconfig import Entry, is_of_host, is_true, make_section, of_file, parse_entries, split_key
from agentvm.model import Contribution, Host
from agentvm.process import Completed, Pending, begin
from agentvm.quoting import join, quote
from agentvm.signing import Signing, plan_signing
from agentvm.values import NamedTuple

_PATIENCE = 3.0
"""Seconds. git takes 2 ms; a file that the project's configuration includes may be a pipe."""
_LARGEST = 1_000_000
"""Bytes of what git tells: the guest can write the project's configuration, and this is read at every start."""
_NO_TRACE = {"GIT_TRACE2": "0", "GIT_TRACE2_EVENT": "0", "GIT_TRACE2_PERF": "0"}
"""A file that the user's own configuration includes may be one that a guest can write, and name a file to write to."""
_RESET = ("credential.helper", "")
_GH = "!gh auth git-credential"
_STORE = '!f() { [ "$1" != get ] || git credential-store get; }; f'
"""Reads ~/.git-credentials and never writes it: the next session would find its copy changed."""
_LESS = "less cat"
_EDITORS = '"${VISUAL-}" "${EDITOR-}" editor vi nano'
# Tried with git 2.39: an empty command is "cannot run" and fatal, and no word switches it off. Essential in Debian.
_DIFF = """'f() { [ $# -lt 7 ] || diff -u --label "a/$1" --label "b/$1" "$2" "$5"; :; }; f'"""
_SUBSTITUTES = {
    # A pager that is missing takes what git says with it when it has arguments; git knows "cat" as none.
    "core.pager": _LESS,
    "core.editor": _EDITORS,
    "sequence.editor": _EDITORS,
    "diff.external": _DIFF,
    "interactive.difffilter": "cat",
    "core.sshcommand": "ssh",
}
"""What to use, in shell words, where the guest lacks the program; the last one without a look."""

_FUNCTIONS = """\
git_override() {
    count=${GIT_CONFIG_COUNT:-0}
    export "GIT_CONFIG_KEY_$count=$1" "GIT_CONFIG_VALUE_$count=$2" "GIT_CONFIG_COUNT=$((count + 1))"
}"""
_NEEDS = """\
git_needs() {
    command -v "$2" >/dev/null && return
    key=$1
    shift 2
    for program; do command -v "${program%% *}" >/dev/null && break; done
    git_override "$key" "$program"
}"""

# A key that ssh-keygen on the host reads from its file need not be in the agent, and then every commit would fail.
_SIGNS = """\
git_signs() {
    case $(ssh-add -L 2>/dev/null) in *"$1"*) return ;; esac
    say 'commits in this VM are not signed: the ssh agent of the host does not hold the key; ssh-add there adds it'
    shift
    for key; do git_override "$key" false; done
}"""


class Configuration(NamedTuple):
    """What git on the host says. Not usable when it can't read its files: then the guest's git could not either."""

    entries: tuple[Entry, ...] = ()
    usable: bool = True
    notice: str = ""


class Git(NamedTuple):
    """`section` is for the end of the guest's copy of ~/.gitconfig, which shall not be made unless `usable`."""

    section: str
    usable: bool
    contribution: Contribution


def ask_git(host: Host, directory: str) -> Pending | None:
    """Let git say what holds in this directory, includes and all; None when there is no git that runs."""
    options = ("--list", "--includes", "--show-origin", "--show-scope", "-z")
    try:
        return begin(("git", "-C", directory, "config", *options), host.environment | _NO_TRACE)
    except Error:
        return None


def read_git(pending: Pending | None) -> Configuration:
    """Collect what `ask_git` began. It never raises: what goes wrong is a notice."""
    if pending is None:
        return Configuration()
    try:
        done = pending.finish(_PATIENCE)
    except Error as problem:
        return Configuration(notice=f"git's settings beside ~/.gitconfig are not in the VM: {problem.message}")
    if done.status:
        return _failed(done)
    if len(done.stdout) > _LARGEST:
        text = f"git's configuration has more than {_LARGEST // 1_000_000} MB, so only ~/.gitconfig is in the VM."
        return Configuration(notice=text)
    return Configuration(parse_entries(done.stdout))


def _failed(done: Completed) -> Configuration:
    """git ends with 128 for what it can't read; one older than 2.26 with 129 since it does not know the options."""
    said = one_line(done.stderr.decode("utf-8", "replace").partition("\n")[0])
    if done.status == 128:
        return Configuration(usable=False, notice=f"git can't read its configuration, so the VM has none: {said}")
    return Configuration(notice=f"git's settings beside ~/.gitconfig are not in the VM: git says: {said}")


def plan_git(
    host: Host,
    configuration: Configuration,
    *,
    copied: bool,
    credentials: bool,
    github_hosts: tuple[str, ...],
    agent: bool,
    keys: bool,
) -> Git:
    """All for one session. `copied`: the guest has a copy of ~/.gitconfig; `credentials`: of ~/.git-credentials, too;
    `github_hosts`: gh has a token for them there; `agent`: the ssh agent is forwarded; `keys`: ~/.ssh is shared.
    """
    path = os.path.join(host.home, ".gitconfig")
    everything = configuration.entries
    # Without the copy, only what the project itself says is in the guest.
    visible = everything if copied else tuple(entry for entry in everything if not is_of_host(entry))
    section = make_section(everything, path)
    signing = plan_signing(host, visible, agent=agent, keys=keys)
    overrides = (
        ("safe.directory", "*"),
        *_helpers(everything, credentials, github_hosts),
        *((("core.fsmonitor", "false"),) if any(map(_watches, everything)) else ()),
        *signing.overrides,
    )
    notices = (configuration.notice, signing.notice, _too_much(section.dropped if copied else 0))
    contribution = _contribution(overrides, _needs(of_file(visible, path)), signing)
    return Git(section.text, configuration.usable, contribution._replace(notices=tuple(filter(None, notices))))


def _contribution(overrides: tuple[tuple[str, str], ...], needs: tuple[str, ...], signing: Signing) -> Contribution:
    """Only the functions that are called are sent."""
    signs = (f"git_signs {quote(signing.key)} {join(signing.switches)}",) if signing.key else ()
    functions = (_FUNCTIONS, _NEEDS if needs else "", _SIGNS if signs else "")
    lines = (f"git_override {quote(key)} {quote(value)}" for key, value in overrides)
    return Contribution("\n".join(filter(None, functions)), (*lines, *needs, *signs))


def _too_much(dropped: int) -> str:
    text = "of git's settings from files beside ~/.gitconfig are not in the VM: together they are too long."
    return f"{dropped} {text}" if dropped else ""


def _watches(entry: Entry) -> bool:
    """The value may be a program; git's own watcher would be one more process in the guest, for nothing."""
    return entry.key == "core.fsmonitor" and is_true(entry)


# --- Credentials -------------------------------------------------------------------------------------------------------


def _helpers(entries: tuple[Entry, ...], credentials: bool, hosts: tuple[str, ...]) -> list[tuple[str, str]]:
    """The host's list of helpers, in its order, by those that the guest has; nothing where the host has none.

    It starts with an empty one, which clears the list, whichever file or URL the others are for (tried with git 2.39).
    """
    helpers = [entry for entry in entries if entry.key.startswith("credential.") and entry.key.endswith(".helper")]
    if not any(entry.value and (is_of_host(entry) or not _is_everywhere(entry.value)) for entry in helpers):
        return []
    found = [_RESET]
    for entry in helpers:
        for pair in _translated(entry, credentials, hosts):
            # An empty one for all clears what was before; one that comes again counts at its later place.
            found = [] if pair == _RESET else [other for other in found if other != pair]
            found.append(pair)
    stored = ("credential.helper", _STORE)
    return found + ([stored] if credentials and stored not in found else [])


def _translated(entry: Entry, credentials: bool, hosts: tuple[str, ...]) -> list[tuple[str, str]]:
    value = entry.value or ""
    if not value or _is_everywhere(value):
        return [(entry.key, _STORE if value == "store" and credentials else value)] if is_of_host(entry) else []
    # The Keychain, gh at its place on the host, and whatever else: in the guest gh may know a login for GitHub.
    url = split_key(entry.key)[1]
    names = hosts if url is None else (url.removeprefix("https://").partition("/")[0].rpartition("@")[2],)
    # gh answers for gists with the token of their host.
    return [(f"credential.https://{name}.helper", _GH) for name in names if name.removeprefix("gist.") in hosts]


def _is_everywhere(helper: str) -> bool:
    """Whether it comes with git."""
    return helper in ("store", "cache") or helper.startswith("cache --timeout=")


# --- Programs and files that the guest may lack ------------------------------------------------------------------------


def _needs(own: tuple[Entry, ...]) -> tuple[str, ...]:
    """Shell lines: only the guest knows what it has. For the settings that reach it, those of ~/.gitconfig itself."""
    winners = {entry.key: entry for entry in own}
    return tuple(filter(None, (_need(entry) for entry in winners.values())))


def _need(entry: Entry) -> str:
    value = entry.value or ""
    if entry.key == "commit.template":
        # An empty one is "could not read" to git 2.39.
        word = _guest_path(value)
        return f"[ -e {word} ] || git_override commit.template /dev/null" if word else ""
    is_pager = entry.key.startswith("pager.") and value.lower() not in ("", "true", "false", "yes", "no", "on", "off")
    substitutes = _LESS if is_pager else _SUBSTITUTES.get(entry.key)
    program = _first_word(value)
    if not substitutes or not program:
        return ""
    return f"git_needs {quote(entry.key)} {_guest_path(program) or quote(program)} {substitutes}"


def _guest_path(path: str) -> str:
    """An absolute path as a shell word, with the guest's home for the host's "~"; empty for a relative one."""
    for home in ("~/", "$HOME/", "${HOME}/"):
        if path.startswith(home):
            return '"$HOME"' + quote("/" + path.removeprefix(home))
    return quote(path) if path.startswith("/") else ""


def _first_word(command: str) -> str:
    """The program that a command line starts; empty when it is more of a shell script, or nothing."""
    for word in _words(command):
        name, assignment, _ = word.partition("=")
        if not (assignment and name.isidentifier()):
            plain = word.removeprefix("$HOME/").removeprefix("${HOME}/")
            return "" if any(char in plain for char in "$`(){};&|<>*?[") else word
    return ""


def _words(command: str) -> list[str]:
    """Split as a shell does, as far as quotes and backslashes go."""
    words: list[str] = []
    word, quoted, escaped = "", "", False
    for char in command + " ":
        if escaped:
            word, escaped = word + char, False
        elif char == "\\" and quoted != "'":
            escaped = True
        elif char in ("'", '"') and quoted in ("", char):
            quoted = "" if quoted else char
        elif char.isspace() and not quoted:
            if word:
                words.append(word)
            word = ""
        else:
            word += char
    return words
