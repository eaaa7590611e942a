"""git's configuration as git tells it, and the part of it that a guest gets. Pure.

What was tried with git 2.39: `git config --list --includes --show-origin --show-scope -z` writes scope, origin and
"key LF value" with a NUL behind each; a key without a value (which means true) has no LF. A file that is included has
the scope of the file that includes it, so all that the project's own .git/config names is "local" too.
"""

from __future__ import annotations

import os
from itertools import pairwise

from agentvm.values import NamedTuple

HOST_SCOPES = ("system", "global", "command")
"""All others ("local", "worktree", "unknown") come from files that the guest can write, or might be one of them: they
may cause that something is switched off in the guest, and are never copied, followed or read."""
_LARGEST_SECTION = 20_000
"""Characters: the section travels in the session script. Identity and a few dozen settings take some 2,000."""

# What is not copied names a program or a file of the host's, or is a secret that nobody chose to hand over.
_LEFT_OUT_SECTIONS = frozenset(
    # delta's themes, which its users include, are 25 kB for a program that the guest seldom has.
    """include includeif credential safe filter difftool mergetool pager browser web instaweb man gui guitool
    trace2 maintenance scalar delta""".split()
)
_LEFT_OUT = frozenset(
    """core.editor core.pager core.fsmonitor core.hookspath core.sshcommand core.askpass core.excludesfile
    core.attributesfile core.worktree core.gitproxy core.alternaterefscommand sequence.editor diff.external diff.command
    diff.textconv interactive.difffilter merge.driver gpg.program gpg.defaultkeycommand commit.template
    init.templatedir uploadpack.packobjectshook""".split()
)
"""Section and name, whatever the subsection between."""
_SECRET = ("pass", "token", "secret", "cookie", "extraheader")
_SEVERAL = frozenset(("insteadof", "pushinsteadof", "excludedecoration", "displayref", "pushoption", "suffix"))
"""Names of which git uses every value, and not the last one only."""
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\b": "\\b"}


class Entry(NamedTuple):
    """One value. `origin` is like "file:/home/me/.gitconfig"; the value is None for a key without one."""

    scope: str
    origin: str
    key: str
    value: str | None


class Section(NamedTuple):
    """Text to append to the guest's ~/.gitconfig, and how many settings did not fit in."""

    text: str = ""
    dropped: int = 0


def parse_entries(data: bytes) -> tuple[Entry, ...]:
    """What git wrote; the later wins."""
    fields = iter(data.decode("utf-8", "surrogateescape").split("\0"))
    threes = zip(fields, fields, fields, strict=False)
    return tuple(Entry(scope, origin, *_key_and_value(text)) for scope, origin, text in threes)


def _key_and_value(text: str) -> tuple[str, str | None]:
    key, newline, value = text.partition("\n")
    return key, value if newline else None


def last(entries: tuple[Entry, ...], key: str) -> Entry | None:
    """The winning one for a key in lower case, as git writes it."""
    return next((entry for entry in reversed(entries) if entry.key == key), None)


def is_of_host(entry: Entry) -> bool:
    """See HOST_SCOPES."""
    return entry.scope in HOST_SCOPES


def of_file(entries: tuple[Entry, ...], path: str) -> tuple[Entry, ...]:
    """Those that a file of the host's own holds itself, without what it includes."""
    return tuple(entry for entry in entries if is_of_host(entry) and _is_from(entry, path))


def is_true(entry: Entry | None) -> bool:
    """As git reads a boolean; other words, as in `push.gpgSign = if-asked`, count as true."""
    if entry is None:
        return False
    return entry.value is None or entry.value.strip().lower() not in ("", "false", "no", "off", "0")


def split_key(key: str) -> tuple[str, str | None, str]:
    """Section, subsection (None without one) and name: "url.https://x.y/.insteadof" has dots in its middle."""
    section, _, rest = key.partition(".")
    subsection, dot, name = rest.rpartition(".")
    return section, subsection if dot else None, name


def make_section(entries: tuple[Entry, ...], copied: str) -> Section:
    """What the host says elsewhere than in the file `copied`, which the guest has a copy of, for the end of that copy."""
    chosen = [entry for entry in _winners(list(filter(is_of_host, entries)), copied) if not _stays_here(entry)]
    # The identity first: a commit needs nothing else.
    chosen.sort(key=lambda entry: (not entry.key.startswith("user."), split_key(entry.key)[:1]))
    text, size, kept = [], 0, 0
    for entry in chosen:
        line = _setting(entry)
        size += len(line)
        if size > _LARGEST_SECTION:
            break
        text.append(line)
        kept += 1
    # The copy may end in a backslash, which would join the next line to its last one.
    return Section("\n\n" + "".join(text) if text else "", len(chosen) - kept)


def _winners(entries: list[Entry], copied: str) -> list[Entry]:
    final = {entry.key: entry for entry in entries}
    several = [entry for entry in entries if split_key(entry.key)[2] in _SEVERAL]
    single = [entry for entry in final.values() if split_key(entry.key)[2] not in _SEVERAL]
    return [entry for entry in several + single if not _is_from(entry, copied)]


def _is_from(entry: Entry, path: str) -> bool:
    kind, _, origin = entry.origin.partition(":")
    return kind == "file" and os.path.normpath(origin) == os.path.normpath(path)


def _stays_here(entry: Entry) -> bool:
    section, subsection, name = split_key(entry.key)
    value = entry.value or ""
    if section in _LEFT_OUT_SECTIONS or f"{section}.{name}" in _LEFT_OUT or any(word in name for word in _SECRET):
        return True
    if _has_login(value) or _has_login(subsection or ""):
        return True
    # "!" starts a shell command, the others a path on the host. A signing key may be below ~/.ssh, which can be shared.
    return entry.key != "user.signingkey" and value.startswith(("!", "/", "~", "%(prefix)"))


def _has_login(text: str) -> bool:
    """Whether a URL in it has a password, or a user name that may be a token, as with https."""
    for scheme, rest in pairwise(text.split("://")):
        user, at, _ = rest.partition("/")[0].rpartition("@")
        if at and (":" in user or scheme.lower().endswith(("http", "https"))):
            return True
    return False


def _setting(entry: Entry) -> str:
    section, subsection, name = split_key(entry.key)
    if subsection is not None:
        section += ' "' + subsection.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"[{section}]\n\t{name}{_assigned(entry.value)}\n"


def _assigned(value: str | None) -> str:
    """In quotes nothing but these is special: no comment starts, and spaces at the ends stay."""
    if value is None:
        return ""
    return ' = "' + "".join(_ESCAPES.get(char, char) for char in value) + '"'
