"""What the guest's claude knows of the host's: a filtered copy of ~/.claude.json, merged into the guest's own.

That file lies beside ~/.claude, so no mount of a directory carries it, and claude writes to it all the time, so it can't be
shared: each guest has its own, and gets on each run what the host's says of onboarding, preferences, the login's
account, MCP servers and this project. Nothing of it is ever written back.

claude 2.1.330 looks for trust at the root of the work tree (the main one's, for a linked one), and from the current directory
upwards: to that root, or to / where there is none. So what is above the project matters too, but only its trust.
"""

from __future__ import annotations

import os

from agentvm.digest import sha256
from agentvm.model import Contribution, Host
from agentvm.quoting import quote
from agentvm.sharing import CLAUDE, config_directory
from agentvm.untrusted import read_text
from agentvm.values import NamedTuple

LARGEST_FILE = 32 * 1024 * 1024
"""Bytes of the host's file. People have ones of some megabytes, since claude keeps histories in it."""
LARGEST_SEED = 48_000
"""Bytes of the seed. It travels in the session script with everything else."""


CREDENTIALS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")
_ONCE = "run `agentvm login claude` once for this VM, or set CLAUDE_CODE_OAUTH_TOKEN to what `claude setup-token` prints, for all VMs"
_KEYCHAIN = f"claude's login is in your Mac's Keychain, which no VM can read: {_ONCE}"
_COPIED = f"claude's login is not shared by AGENTVM_CONFIG=overlay: {_ONCE}"
_TWO_LOGINS = "ANTHROPIC_API_KEY is set, and claude takes it before your subscription's login; unset it if it is stale."
_KEY_END = 20
"""Characters of a key by which claude remembers the answer to whether to use it."""


class Seed(NamedTuple):
    """The text of the guest's share of the file, None for nothing at all, and what the user is told."""

    text: str | None
    notices: tuple[str, ...] = ()


def plan_claude(
    host: Host, places: tuple[str, ...], arguments: tuple[str, ...], *, copied: bool = False
) -> Contribution:
    """All that a session with claude in it needs; `arguments` are claude's own. With `copied` settings its login is not shared."""
    content: bytes | None = None
    notices: tuple[str, ...] = ()
    path = claude_file(host)
    try:
        text = read_text(path, LARGEST_FILE, follow=os.path.dirname(path) == host.home)
        content = None if text is None else os.fsencode(text)
    except ValueError as problem:
        notices = (f"{path} is left out: {problem}; claude starts in the VM without the host's settings in it",)
    login = not copied and os.path.exists(os.path.join(config_directory(host, CLAUDE), ".credentials.json"))
    seed = seed_claude(content, places=places, credential=login or _has_variable(host))
    room = claude_contribution(seed)
    key = host.environment.get("ANTHROPIC_API_KEY", "")
    if key and login and key[-_KEY_END:] not in (seed.text or ""):
        notices += (_TWO_LOGINS,)
    return room._replace(lines=room.lines + _unshared_login(host, arguments, copied), notices=notices + room.notices)


def claude_file(host: Host) -> str:
    """It stands beside the directory, or in the one that CLAUDE_CONFIG_DIR names."""
    directory = config_directory(host, CLAUDE)
    beside = directory == os.path.join(host.home, CLAUDE)
    return os.path.join(host.home if beside else directory, ".claude.json")


def _has_variable(host: Host) -> bool:
    return any(host.environment.get(name) for name in CREDENTIALS)


def _unshared_login(host: Host, arguments: tuple[str, ...], copied: bool) -> tuple[str, ...]:
    """A login that can't be shared: say so until the guest has one of its own.

    On a Mac it is in the Keychain. In overlay mode it could only be a copy, and its token serves once: claude replaces the
    file with each new one, so a link to it would not last.
    """
    if arguments[:1] == ("auth",) or _has_variable(host):
        return ()
    if host.platform == "darwin":
        return (f'[ -e "$CLAUDE_SECURESTORAGE_CONFIG_DIR/.credentials.json" ] || say {quote(_KEYCHAIN)}',)
    return (f'[ -e "$HOME/{CLAUDE}/.credentials.json" ] || say {quote(_COPIED)}',) if copied else ()


def seed_claude(content: bytes | None, *, places: tuple[str, ...], credential: bool) -> Seed:
    """What the guest's claude gets of the host's ~/.claude.json, or of its absence.

    `places` are where claude looks for what is known of the project, see `agentvm.launch.find_places`. Who has no such file
    but a credential has never used claude interactively, or only by variables: then the guest's asks for no login.
    """
    if content is None:
        return Seed('{"hasCompletedOnboarding":true}' if credential else None)
    if len(content) > LARGEST_FILE:
        return _without(f"it is larger than {LARGEST_FILE >> 20} MiB", credential)
    try:
        known = _parse(content)
    except (ValueError, RecursionError):
        return _without("it is not JSON", credential)
    if not isinstance(known, dict):
        return _without("it does not hold a JSON object", credential)
    return _fitting(_filter(known, places))


def _without(reason: str, credential: bool) -> Seed:
    told = f"~/.claude.json is left out: {reason}; claude starts in the VM without the host's settings in it"
    return seed_claude(None, places=(), credential=credential)._replace(notices=(told,))


def _parse(content: bytes) -> object:
    import json

    def refuse(constant: str) -> object:
        raise ValueError(constant)

    return json.loads(content, parse_constant=refuse)


def _fitting(wanted: dict[str, object]) -> Seed:
    """Leave out the largest parts until the rest can travel."""
    sizes = {key: len(_dump({key: value}).encode()) for key, value in wanted.items()}
    left: list[str] = []
    while sum(sizes.values()) > LARGEST_SEED:
        left.append(max(sizes, key=lambda key: sizes[key]))
        del sizes[left[-1]]
    text = _dump({key: wanted[key] for key in sizes})
    told = f"~/.claude.json is left out in part: {', '.join(left)} can't be sent into the VM, too large"
    return Seed(text, (told,) if left else ())


def _dump(value: object) -> str:
    """Always the same text for the same value. Half a surrogate pair, which jq 1.6 refuses, becomes a question mark."""
    import json

    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode(errors="replace").decode()


# --- What is kept ------------------------------------------------------------------------------------------------------

_FLAGS = frozenset(
    """hasCompletedOnboarding bypassPermissionsModeAccepted hasAcknowledgedCostThreshold hasUsedBackslashReturn
    shiftEnterKeyBindingInstalled optionAsMetaKeyInstalled remoteDialogSeen lspRecommendationDisabled
    opusProMigrationComplete hasResetAutoModeOptInForDefaultOffer
    verbose autoCompactEnabled autoScrollEnabled showTurnDuration externalEditorContext showMessageTimestamps
    todoFeatureEnabled showExpandedTodos briefTranscript diffSidebarOpen fileCheckpointingEnabled
    terminalProgressBarEnabled showStatusInTerminalTab taskCompleteNotifEnabled inputNeededNotifEnabled
    agentPushNotifEnabled respectGitignore copyFullResponse copyOnSelect leftArrowOpensAgents defaultToAgentsView
    prStatusFooterEnabled""".split()
)
"""The user's answers and preferences, from the bundle's list of settings. Not those of the machine: the IDE, the browser,
remote control, the updater. What was migrated stays so: else the guest would migrate the shared settings again."""
_WORDS = frozenset(
    "theme editorMode preferredNotifChannel diffTool apiKeyHelper lastOnboardingVersion workflowSizeGuideline".split()
)
_NUMBERS = frozenset(("messageIdleNotifThresholdMs", "migrationVersion"))
_TABLES = frozenset(("oauthAccount", "customApiKeyResponses", "env", "mcpServers"))
_PROJECT_FLAGS = (
    "hasTrustDialogAccepted",
    "hasCompletedProjectOnboarding",
    "hasClaudeMdExternalIncludesApproved",
    "hasClaudeMdExternalIncludesWarningShown",
)
_PROJECT_LISTS = ("allowedTools", "mcpContextUris", "enabledMcpjsonServers", "disabledMcpjsonServers")


def _filter(known: dict[str, object], places: tuple[str, ...]) -> dict[str, object]:
    """The parts that are as they should be; others are left out, as claude does with them."""
    kept = {key: value for key, value in known.items() if _is_wanted(key, value)}
    projects = known.get("projects")
    entries = _projects(projects, places) if isinstance(projects, dict) else {}
    return {**kept, "projects": entries} if entries else kept


def _is_wanted(key: str, value: object) -> bool:
    if key in _FLAGS:
        return isinstance(value, bool)
    if key in _WORDS:
        return isinstance(value, str)
    if key in _NUMBERS:
        return type(value) is int
    return key in _TABLES and isinstance(value, dict) and bool(value)


def _projects(projects: dict[str, object], places: tuple[str, ...]) -> dict[str, object]:
    entries = {place: _project(projects.get(place), _PROJECT_FLAGS, _PROJECT_LISTS) for place in _names(places)}
    above = {outer for place in places for outer in _above(place)} - set(places)
    trusted = {place: _project(projects.get(place), _PROJECT_FLAGS[:1], ()) for place in _names(tuple(above))}
    return {place: entry for place, entry in {**trusted, **entries}.items() if entry}


def _project(entry: object, flags: tuple[str, ...], lists: tuple[str, ...]) -> dict[str, object]:
    """What is false or empty says nothing, and would take back what was answered in the guest."""
    if not isinstance(entry, dict):
        return {}
    kept: dict[str, object] = {key: True for key in flags if entry.get(key) is True}
    kept |= {key: entry[key] for key in lists if isinstance(entry.get(key), list) and entry[key]}
    servers = entry.get("mcpServers")
    return {**kept, "mcpServers": servers} if lists and isinstance(servers, dict) and servers else kept


def _names(places: tuple[str, ...]) -> list[str]:
    """The paths as claude writes them: composed, where macOS gives decomposed ones. It can't write one that isn't UTF-8."""
    if all(place.isascii() for place in places):
        return list(places)
    from unicodedata import normalize

    return [name for place in places for name in dict.fromkeys((place, normalize("NFC", place)))]


def _above(place: str) -> list[str]:
    outer = os.path.dirname(place)
    return [] if outer == place else [outer, *_above(outer)]


# --- The guest's side --------------------------------------------------------------------------------------------------


def claude_contribution(seed: Seed) -> Contribution:
    """Put the seed into the guest's file, where it changed since the last time. No seed takes an earlier one back."""
    text = seed.text or "{}"
    return Contribution(_FUNCTIONS, (f"seed_claude {sha256(text.encode())} {quote(text)}",), seed.notices)


# Another session may do the same at this moment, and a running claude rewrites the file: so all is made beside it and moved.
# What an earlier seed had set goes when the new one has it no more, unless it was changed in the guest since; that onboarding
# was done stays, since the guest's user may have a login of its own by now. A link was made by the guest's user and is left.
# Where claude cut a text in the middle of a character it writes half a surrogate pair, and jq before 1.7 refuses it.
_FUNCTIONS = r"""seed_claude() {
    config=$HOME/.claude.json kept=$state/seeded/claude.json digest=
    [ ! -h "$config" ] || return 0
    [ ! -f "$kept.sum" ] || read -r digest <"$kept.sum"
    if [ -f "$config" ]; then
        [ "$digest" != "$1" ] && { [ "$2" != '{}' ] || [ -f "$kept" ]; } || return 0
    else
        [ ! -e "$config" ] && [ "$2" != '{}' ] || return 0
    fi
    (
        umask 077
        mkdir -p "$state/seeded" && exec 9>"$state/seeded/lock" || exit
        ! command -v flock >/dev/null || flock 9
        new=$kept.$$
        trap 'rm -f "$new" "$new.guest" "$config.$$"' EXIT
        printf '%s\n' "$2" >"$new" && make_seeded && mv -f "$config.$$" "$config" && mv -f "$new" "$kept" &&
            printf '%s\n' "$1" >"$kept.sum"
    ) || say '~/.claude.json in this VM could not be given what the host knows'
}
make_seeded() {
    if [ ! -e "$config" ] || cmp -s "$kept" "$config"; then
        cp "$new" "$config.$$"
    elif ! command -v jq >/dev/null; then
        say 'there is no jq in this VM, so ~/.claude.json does not get what the host knows'
        exit 0
    elif ! read_seeded; then
        mv -f "$config" "$config.broken" && say "~/.claude.json in this VM was no JSON; it is now ~/.claude.json.broken" &&
            cp "$new" "$config.$$"
    else
        old=$kept
        [ -s "$old" ] || old=/dev/null
        jq -n --slurpfile guest "$guest" --slurpfile old "$old" --slurpfile new "$new" '
            def object: if type == "object" then . else {} end;
            def without($old; $new): reduce ($old | keys_unsorted[]) as $key (.;
                if .[$key] == $old[$key] and ($new | has($key) | not) then del(.[$key])
                elif [.[$key], $old[$key]] | all(type == "object") then
                    .[$key] |= without($old[$key]; $new[$key] | object)
                else . end);
            $guest[0] | without($old[0] | object | del(.hasCompletedOnboarding); $new[0]) | . * $new[0]' >"$config.$$"
    fi
}
read_seeded() {
    guest=$config
    is_seedable && return
    guest=$new.guest
    sed 's/\\u[dD][89a-fA-F]../\\ufffd/g' "$config" >"$guest" && is_seedable
}
is_seedable() { jq -es 'length == 1 and (.[0] | type == "object")' "$guest" >/dev/null 2>&1; }"""
