"""git's configuration files: a strict reader of their own syntax, and the keys that make git execute something.

git itself is not asked: `git config --file` costs a process, on a run that shall cost nothing, and it would follow what
a guest put there. A file that this reader doesn't understand is no file to trust: its whole text is compared then.
"""

from __future__ import annotations

import re

Setting = tuple[str, str]
"""A key as git writes it ("remote.origin.url": section and name in lower case), and its value."""

_SECTION = re.compile(r'\[([A-Za-z0-9.-]+)(?:[ \t]+"((?:\\.|[^"\\\n])*)")?\]')
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_ESCAPED = {"n": "\n", "t": "\t", "b": "\b", "\\": "\\", '"': '"'}
_SPACE = " \t\r"

_ALWAYS = frozenset("alias pager hook include includeif protocol guitool".split())
"""Sections of which every key counts."""
_KEYS = frozenset(
    """core.fsmonitor core.hookspath core.sshcommand core.editor core.pager core.gitproxy core.askpass core.worktree
    core.alternaterefscommand core.attributesfile core.bare filter.clean filter.smudge filter.process diff.external
    diff.command diff.textconv diff.tool diff.guitool difftool.cmd difftool.path mergetool.cmd mergetool.path merge.tool
    merge.guitool merge.driver credential.helper gpg.program gpg.defaultkeycommand sequence.editor
    interactive.difffilter browser.cmd browser.path web.browser man.viewer man.cmd man.path help.browser
    instaweb.httpd instaweb.browser submodule.update uploadpack.packobjectshook remote.uploadpack remote.receivepack
    remote.vcs remote.proxy trailer.command trailer.cmd sendemail.smtpserver sendemail.sendmailcmd sendemail.tocmd
    sendemail.cccmd sendemail.headercmd imap.tunnel init.templatedir tar.command gc.recentobjectshook
    extensions.worktreeconfig extensions.partialclone lfs.standalonetransferagent customtransfer.path extension.clean
    extension.smudge""".split()
)
"""Section and name, whatever the subsection between. git-lfs's own have their section's name in the subsection."""


class Malformed(ValueError):
    """Not what git writes, or not what it reads."""


def read_settings(text: str) -> list[Setting]:
    """All settings in their order. Raises Malformed for what git would refuse, and for some that it would take."""
    reader = _Reader(text.removeprefix("\ufeff").replace("\r\n", "\n"))
    if "\0" in text:
        raise Malformed("a NUL")
    return reader.settings()


def executes(key: str) -> bool:
    """Whether git takes from it what to execute, or where its repository and its configuration are."""
    section, _, rest = key.partition(".")
    subsection, _, name = rest.rpartition(".")
    short = f"{section}.{name}"
    if section == "lfs" and subsection:
        short = short if short in _KEYS else f"{subsection.partition('.')[0]}.{name}"
    return section in _ALWAYS or short in _KEYS


def values_of(settings: list[Setting], *names: str) -> list[str]:
    """The values of keys whose section and name are among `names`, whatever the subsection."""
    found = []
    for key, value in settings:
        section, _, rest = key.partition(".")
        if f"{section}.{rest.rpartition('.')[2]}" in names:
            found.append(value)
    return found


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def settings(self) -> list[Setting]:
        found: list[Setting] = []
        section = ""
        while (letter := self._skip()) is not None:
            if letter == "[":
                section = self._section()
            elif not section:
                raise Malformed("a setting before the first section")
            else:
                found.append((f"{section}.{self._match(_NAME)[0].lower()}", self._value()))
        return found

    def _skip(self) -> str | None:
        """Over space, empty lines and comments; the next letter, or None at the end."""
        while self._at < len(self._text):
            letter = self._text[self._at]
            if letter in "#;":
                self._to_line_end()
            elif letter in _SPACE or letter == "\n":
                self._at += 1
            else:
                return letter
        return None

    def _to_line_end(self) -> None:
        end = self._text.find("\n", self._at)
        self._at = len(self._text) if end < 0 else end

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str]:
        found = pattern.match(self._text, self._at)
        if not found:
            raise Malformed(f"at character {self._at}")
        self._at = found.end()
        return found

    def _section(self) -> str:
        name, subsection = self._match(_SECTION).groups()
        if subsection is None:
            return str(name).lower()
        return f"{name.lower()}." + re.sub(r"\\(.)", r"\1", subsection, flags=re.DOTALL)

    def _value(self) -> str:
        """What is behind a key; a key alone is true."""
        while self._next() in (" ", "\t"):
            self._at += 1
        if self._next() in ("", "\n"):
            return "true"
        if self._next() != "=":
            raise Malformed("a key without a value")
        self._at += 1
        return self._words()

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _words(self) -> str:
        """To the end of the line, which a backslash moves on; space at both ends goes, unless it is quoted."""
        value, quoted, kept = "", False, 0
        while (letter := self._next()) not in ("", "\n"):
            self._at += 1
            if letter == '"':
                quoted, kept = not quoted, len(value)
            elif letter in "#;" and not quoted:
                self._to_line_end()
            elif letter == "\\":
                value += self._escape()
                kept = len(value)
            elif quoted or letter not in _SPACE:
                value += letter
                kept = len(value)
            elif value:
                value += letter
        if quoted:
            raise Malformed("a quote that doesn't end")
        return value[:kept]

    def _escape(self) -> str:
        letter = self._next()
        self._at += 1
        if letter == "\n":
            return ""
        if letter not in _ESCAPED:
            raise Malformed("an unknown escape")
        return _ESCAPED[letter]
