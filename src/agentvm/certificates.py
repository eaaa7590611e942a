"""The certificates that the host's programs trust by a variable, brought into a guest and its trust store.

The variables name files of the host. Nothing of these goes into a guest but certificates, which are public.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from agentvm.digest import sha256
from agentvm.model import Certificates, Command, Contribution, Host
from agentvm.quoting import quote
from agentvm.variables import CERTIFICATES

BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
"""The guest's own certificates together with the host's, as update-ca-certificates writes it."""
OURS = "/usr/local/share/ca-certificates/agentvm-host.pem"
"""The host's alone, for the two variables that add to what a program trusts by itself."""
_ADDING = ("NODE_EXTRA_CA_CERTS", "CODEX_CA_CERTIFICATE")
_USUAL = ("/etc/ssl/certs", "/usr/lib/ssl/certs", "/etc/pki/tls/certs")
"""Where a system has its own."""
_LARGEST = 2 * 2**20
"""Bytes of one file; the bundles of distributions have a tenth of it."""
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_SEQUENCE, _INTEGER, _VERSION = 0x30, 0x02, 0xA0
"""Tags of X.690 and, for the version, of RFC 5280."""


def read_certificates(host: Host) -> Certificates:
    """All certificates in the files that the variables name. A file without any is named in a notice."""
    blocks: dict[str, None] = {}
    good: list[str] = []
    notices: list[str] = []
    for path, names in _named_files(host).items():
        try:
            found = tuple(_certificates_in(_read(path)))
        except ValueError as problem:
            notices.append(f"{path} ({', '.join(names)}) {problem}, so the VM does without it.")
            continue
        blocks.update(dict.fromkeys(found))
        good += names
    directory = host.environment.get("SSL_CERT_DIR")
    if directory and directory not in _USUAL:
        notices.append(f"SSL_CERT_DIR={directory} is not brought into the VM: only a file is, by SSL_CERT_FILE.")
    pem = "".join(blocks)
    return Certificates(pem, sha256(pem.encode()) if pem else "", tuple(good), tuple(notices))


def certificates_contribution(certificates: Certificates) -> Contribution:
    """The variables that the host has set, with the guest's files in them, where these are in place."""
    pairs = ((name, OURS if name in _ADDING else BUNDLE) for name in certificates.variables)
    lines = tuple(f"[ ! -r {path} ] || export {name}={path}" for name, path in pairs)
    return Contribution(lines=lines, notices=certificates.notices)


def installing(pem: str) -> Command:
    """Makes the guest trust exactly these certificates besides its own; without any it forgets those of before."""
    blocks = [block + _END + "\n" for block in pem.split(_END + "\n")[:-1]]
    marks = [_mark(block) for block in blocks]
    lines = [
        f"add {mark} agentvm-{number}.crt {quote(block)}"
        for number, (mark, block) in enumerate(zip(marks, blocks, strict=True), 1)
    ]
    known = f"find_known {' '.join(marks)}" if marks else ""
    last = f"put {os.path.basename(OURS)} {quote(pem)}\n" if pem else ""
    script = "\n".join((f"wanted={len(blocks)}", _BEFORE, known, *lines, "update", last))
    # Two sessions may come to it at the same time.
    argv = ("flock", "--close", "/run/agentvm-certificates.lock", "/bin/sh", "-s")
    return Command(argv, script.encode(), root=True, timeout=600)


def _mark(block: str) -> str:
    """A line of the certificate that no other has: the last whole one, of its signature. A shell word as it is."""
    lines = block.splitlines()
    return quote(lines[-3] if len(lines) > 3 else lines[1])


def _named_files(host: Host) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in CERTIFICATES:
        if value := host.environment.get(name):
            found.setdefault(os.path.join(host.directory, value), []).append(name)
    return found


def _read(path: str) -> str:
    """Raises ValueError that says what is wrong with the file."""
    import stat

    try:
        # A pipe would be waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ValueError("is not a file")
            content = os.read(descriptor, _LARGEST + 1)
        finally:
            os.close(descriptor)
    except OSError as problem:
        raise ValueError(f"can't be read: {problem.strerror}") from None
    if len(content) > _LARGEST:
        raise ValueError(f"is larger than {_LARGEST} bytes")
    return content.decode("latin-1")


def _certificates_in(text: str) -> Iterator[str]:
    """Each certificate in the text, written anew, so that nothing else comes along. Raises ValueError if there is none.

    A private key may stand in the same file, also behind a certificate that has lost its end.
    """
    body: list[str] | None = None
    none = True
    for line in map(str.strip, text.removeprefix("\u00ef\u00bb\u00bf").splitlines()):
        if line == _BEGIN:
            body = []
        elif line == _END and body is not None:
            if block := _certificate("".join(body)):
                none = False
                yield block
            body = None
        elif line.startswith("-----"):
            body = None
        elif body is not None:
            body.append(line)
    if none:
        raise ValueError("has no certificate in it")


def _certificate(base64: str) -> str:
    """The block of one certificate; empty when it is none, whatever the lines around it say."""
    import binascii

    try:
        der = binascii.a2b_base64(base64, strict_mode=True)
        if not _is_certificate(der):
            return ""
    except (binascii.Error, ValueError, IndexError):
        return ""
    clean = binascii.b2a_base64(der, newline=False).decode()
    lines = (clean[start : start + 64] for start in range(0, len(clean), 64))
    return "\n".join((_BEGIN, *lines, _END, ""))


def _is_certificate(der: bytes) -> bool:
    """Whether it begins as RFC 5280 has it: a sequence of a sequence of a version or, before version 2, a number.

    A private key is a sequence of a number (RFC 5208), and an encrypted one has an identifier in the second sequence.
    """
    outer, end = _element(der, 0)
    inner, _ = _element(der, outer)
    return (der[0], der[outer]) == (_SEQUENCE, _SEQUENCE) and der[inner] in (_VERSION, _INTEGER) and end == len(der)


def _element(der: bytes, start: int) -> tuple[int, int]:
    """Where the content of the element at `start` begins and ends. Raises IndexError when it is cut off."""
    length = der[start + 1]
    if length < 0x80:
        return start + 2, start + 2 + length
    content = start + 2 + (length & 0x7F)
    return content, content + int.from_bytes(der[start + 2 : content], "big")


# A variable may name the host's whole bundle, most of which the guest has by itself: that is left alone, as each certificate costs
# openssl's time. With --fresh the links by a certificate's hash are made anew, also when a name of ours has another content than before.
# Nothing that the script calls may read its standard input: the rest of the script is there.
_BEFORE = """\
set -eu
umask 022
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
place=/usr/local/share/ca-certificates
known= changed=
put() { printf '%s' "$2" >"$place/$1.new" && mv -f "$place/$1.new" "$place/$1"; }
find_known() { known=$(printf '%s\\n' "$@" | grep -rhxFf - /usr/share/ca-certificates 2>/dev/null) || :; }
add() {
    case $known in *"$1"*) return ;; esac
    changed=yes
    put "$2" "$3"
}
update() { [ ! "$changed" ] || update-ca-certificates --fresh </dev/null; }
set -- "$place"/agentvm-*
[ -e "$1" ] || [ "$wanted" -gt 0 ] || exit 0
command -v update-ca-certificates >/dev/null || { echo 'there is no update-ca-certificates in this VM'; exit 1; }
mkdir -p "$place"
for old; do case $old in *.crt) [ ! -e "$old" ] || changed=yes ;; esac; done
rm -f "$@"
"""
