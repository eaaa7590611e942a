"""Certificates of the host in a guest: with certificates and keys of openssl's, and the real update-ca-certificates."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentvm.certificates import BUNDLE, OURS, certificates_contribution, installing, read_certificates
from agentvm.model import Certificates, Host
from agentvm.variables import CERTIFICATES

SHELLS = {"dash": (), "bash": ("--posix",), "busybox": ("sh",)}
REAL = shutil.which("update-ca-certificates", path=f"{os.environ['PATH']}:/usr/sbin")
"""Debian's and Ubuntu's; what it does in a guest can be shown where there is one."""
FOUND = {name: (path, *words) for name, words in SHELLS.items() if REAL and (path := shutil.which(name))}
BEGIN, END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


class Made(NamedTuple):
    """What openssl made: two authorities, a server's certificate of the second, and keys in all forms."""

    first: str
    second: str
    server: str
    keys: tuple[str, ...]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    place = tmp_path_factory.mktemp("openssl")

    def openssl(*words: str) -> str:
        return subprocess.run(["openssl", *words], cwd=place, capture_output=True, text=True, check=True).stdout

    for name in ("first", "second"):
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key")
        openssl("req", "-x509", *key, "-subj", f"/CN={name}", "-days", "3650", "-out", f"{name}.pem")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "server.key", "-subj", "/CN=s", "-out", "server.csr")
    sign = ("-CA", "second.pem", "-CAkey", "second.key", "-days", "3650")
    openssl("x509", "-req", "-in", "server.csr", *sign, "-out", "server.pem")
    keys = (
        openssl("pkey", "-in", "first.key"),
        openssl("ec", "-in", "first.key"),
        openssl("pkey", "-in", "server.key"),
        openssl("rsa", "-in", "server.key", "-traditional"),
        openssl("pkcs8", "-topk8", "-in", "server.key", "-passout", "pass:x"),
        openssl("pkey", "-in", "server.key", "-pubout"),
    )
    first, second, server = (place.joinpath(f"{name}.pem").read_text() for name in ("first", "second", "server"))
    return Made(first, second, server, keys)


Read = Callable[..., Certificates]


@pytest.fixture
def read(host: Host, home: Path) -> Read:
    """What is read with this content in the file of NODE_EXTRA_CA_CERTS, and other variables beside it."""

    def run(content: str | bytes | None = None, **environment: str) -> Certificates:
        if content is not None:
            data = content if isinstance(content, bytes) else content.encode()
            (home / "ca.pem").write_bytes(data)
            environment["NODE_EXTRA_CA_CERTS"] = str(home / "ca.pem")
        return read_certificates(host._replace(environment=host.environment | environment))

    return run


def disguised(key: str) -> str:
    """A key that says it were a certificate."""
    lines = key.strip().splitlines()
    body = [line for line in lines[1:-1] if ":" not in line and line]
    return "\n".join((BEGIN, *body, END, ""))


def test_nothing_is_set(read: Read) -> None:
    assert read() == Certificates()
    assert read(NODE_EXTRA_CA_CERTS="") == Certificates()
    assert not certificates_contribution(read()).lines


def test_a_certificate_is_taken_as_it_is(read: Read, made: Made) -> None:
    found = read(made.first)
    assert found.pem == made.first
    assert (found.variables, found.notices) == (("NODE_EXTRA_CA_CERTS",), ())
    assert found.digest == read(made.first).digest != read(made.second).digest


@pytest.mark.parametrize("name", CERTIFICATES)
def test_every_variable(read: Read, made: Made, home: Path, name: str) -> None:
    (home / "other.pem").write_text(made.second)
    assert read(**{name: str(home / "other.pem")}).variables == (name,)
    assert read(**{name: "other.pem"}).pem == made.second, "a relative path is one from the current directory"


def test_each_certificate_once(read: Read, made: Made, home: Path) -> None:
    (home / "other.pem").write_text(f"{made.second}{made.first}")
    found = read(f"{made.first}{made.first}", SSL_CERT_FILE=f"{home}/other.pem", CURL_CA_BUNDLE=f"{home}/other.pem")
    assert found.pem == made.first + made.second
    assert set(found.variables) == {"NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "CURL_CA_BUNDLE"}


@pytest.mark.parametrize(
    "change",
    [
        lambda pem: pem.replace("\n", "\r\n"),
        lambda pem: "\ufeff" + pem,
        lambda pem: "subject=CN = first\n" + pem + "# the end",
        lambda pem: pem.replace("\n", "  \n"),
        lambda pem: "\n".join((BEGIN, "".join(pem.splitlines()[1:-1]), END)),
        lambda pem: pem.rstrip("\n"),
        lambda pem: "caf\u00e9\n" + pem,
    ],
)
def test_other_ways_to_write_the_same(read: Read, made: Made, change: Callable[[str], str]) -> None:
    assert read(change(made.first)).pem == made.first


def test_no_private_key_comes_along(read: Read, made: Made) -> None:
    body = "\n".join(made.first.splitlines()[1:-1])
    for key in made.keys:
        assert read(key + made.first + key).pem == made.first
        assert read(f"{BEGIN}\n{key}{made.first}").pem == made.first, "a certificate that has lost its end"
        assert read(f"{BEGIN}\n{body}\n{key}{made.first}").pem == made.first
        assert read(disguised(key) + made.first).pem == made.first, "nor one that says it were a certificate"
        found = read(disguised(key))
        assert (found.pem, len(found.notices)) == ("", 1)


def test_what_stands_behind_a_certificate_in_its_block(read: Read, made: Made) -> None:
    """Bytes after the certificate's own end."""
    import base64

    def der(pem: str) -> bytes:
        return base64.b64decode("".join(line for line in pem.splitlines() if "-" not in line and ":" not in line))

    both = base64.encodebytes(der(made.first) + der(made.keys[0])).decode()
    assert read(f"{BEGIN}\n{both}{END}\n").pem == ""


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no certificate"),
        (b"\0" * 100, "no certificate"),
        (b"\xff\xfe\x00", "no certificate"),
        (b"hello", "no certificate"),
        (f"{BEGIN}\n{END}\n".encode(), "no certificate"),
        (f"{BEGIN}\n!!!!\n{END}\n".encode(), "no certificate"),
        (f"{BEGIN}\nMA==\n{END}\n".encode(), "no certificate"),
        (f"{BEGIN}\nMIIB\n{END}\n".encode(), "no certificate"),
        (f"{BEGIN}\nMIIB".encode(), "no certificate"),
        (b"x" * (2 * 2**20 + 1), "larger than"),
    ],
)
def test_a_file_without_one_is_named_once(read: Read, home: Path, content: bytes, reason: str) -> None:
    found = read(content, CURL_CA_BUNDLE=str(home / "ca.pem"))
    (notice,) = found.notices
    assert notice.startswith(f"{home}/ca.pem (NODE_EXTRA_CA_CERTS, CURL_CA_BUNDLE) ")
    assert reason in notice
    assert found._replace(notices=()) == Certificates()


def test_files_that_can_not_be_read(read: Read, made: Made, home: Path) -> None:
    os.mkfifo(home / "pipe")
    (home / "loop").symlink_to(home / "loop")
    for path, reason in (("gone", "No such file"), ("pipe", "not a file"), ("loop", "symbolic"), (".", "not a file")):
        found = read(made.first, SSL_CERT_FILE=f"{home}/{path}")
        assert found.pem == made.first, "the others are taken all the same"
        assert found.variables == ("NODE_EXTRA_CA_CERTS",)
        (notice,) = found.notices
        assert f"{home}/{path} (SSL_CERT_FILE)" in notice
        assert reason in notice


def test_a_directory_of_certificates_is_only_named(read: Read) -> None:
    (notice,) = read(SSL_CERT_DIR="/my/certs").notices
    assert "SSL_CERT_DIR=/my/certs" in notice
    assert read(SSL_CERT_DIR="/etc/ssl/certs").notices == ()


@given(st.binary(max_size=200))
def test_any_bytes_in_a_block(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.pem"
    path.write_bytes(BEGIN.encode() + b"\n" + data + b"\n" + END.encode())
    host = Host({"SSL_CERT_FILE": str(path)}, "/", "/", "linux", 1, False, False, False)
    assert read_certificates(host).pem == ""


# In the guest


class Guest:
    """A root directory in which the command for root runs, with the real update-ca-certificates of this machine."""

    def __init__(self, root: Path, shell: tuple[str, ...]) -> None:
        self.root = root
        self.shell = shell
        self.place = root / "usr/local/share/ca-certificates"
        self.etc = root / "etc/ssl/certs"
        (root / "bin").mkdir()
        for directory in (self.etc, root / "usr/share/ca-certificates/mozilla"):
            directory.mkdir(parents=True)
        self.program("flock", 'shift 2; exec "$@"')
        self.program(
            "update-ca-certificates",
            f'echo asked >>"{root}/asked"; exec "{REAL}" {self.places()} "$@"',
        )

    def places(self) -> str:
        """One by one: not every version of it has --sysroot."""
        places = {
            "certsconf": self.root / "etc/ca-certificates.conf",
            "certsdir": self.root / "usr/share/ca-certificates",
            "localcertsdir": self.place,
            "etccertsdir": self.etc,
            "hooksdir": "/nowhere",
        }
        return " ".join(f'--{name} "{path}"' for name, path in places.items())

    def program(self, name: str, text: str) -> None:
        (self.root / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.root / "bin" / name).chmod(0o755)

    def has_its_own(self, certificate: str) -> None:
        (self.root / "usr/share/ca-certificates/mozilla/own.crt").write_text(certificate)
        (self.root / "etc/ca-certificates.conf").write_text("mozilla/own.crt\n")

    def install(self, pem: str) -> subprocess.CompletedProcess[str]:
        command = installing(pem)
        assert command.root
        words = [word if word != "/bin/sh" else self.shell for word in command.argv]
        argv = [part for word in words for part in ((word,) if isinstance(word, str) else word)]
        script = command.stdin.decode().replace("/usr/local/share", f"{self.root}/usr/local/share")
        script = script.replace(" /usr/share", f" {self.root}/usr/share")
        environment = {"PATH": f"{self.root}/bin:{os.environ['PATH']}"}
        return subprocess.run(argv, input=script, env=environment, capture_output=True, text=True, check=False)

    @property
    def bundle(self) -> str:
        return (self.etc / "ca-certificates.crt").read_text()

    @property
    def installed(self) -> list[str]:
        return sorted(path.name for path in self.place.iterdir()) if self.place.exists() else []

    def trusts_by_hash(self, certificate: str) -> bool:
        """As programs look that use the directory and not the bundle."""
        (self.root / "some.pem").write_text(certificate)
        words = [
            "openssl",
            "verify",
            "-no-CAfile",
            "-no-CAstore",
            "-CApath",
            str(self.etc),
            str(self.root / "some.pem"),
        ]
        return subprocess.run(words, capture_output=True, check=False).returncode == 0


@pytest.fixture(params=FOUND)
def guest(request: pytest.FixtureRequest, tmp_path: Path, made: Made) -> Guest:
    assert REAL, "these tests need update-ca-certificates"
    root = tmp_path / "guest"
    root.mkdir()
    guest = Guest(root, FOUND[request.param])
    guest.has_its_own(made.first)
    return guest


def test_a_guest_trusts_the_hosts_and_its_own(guest: Guest, made: Made) -> None:
    done = guest.install(made.second + made.server)
    assert done.returncode == 0, done.stderr
    assert guest.installed == ["agentvm-1.crt", "agentvm-2.crt", "agentvm-host.pem"]
    assert (guest.place / "agentvm-host.pem").read_text() == made.second + made.server
    assert (guest.place / "agentvm-1.crt").read_text() == made.second
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in guest.place.iterdir())
    assert made.first in guest.bundle
    assert made.second in guest.bundle
    assert guest.trusts_by_hash(made.server)


def test_what_the_host_no_longer_has_is_forgotten(guest: Guest, made: Made) -> None:
    guest.place.mkdir(parents=True)
    (guest.place / "somebodys.crt").write_text(made.server)
    guest.install(made.second)
    assert guest.trusts_by_hash(made.server)
    guest.install("")
    assert guest.installed == ["somebodys.crt"], "what is not ours stays"
    assert made.second not in guest.bundle
    assert made.first in guest.bundle
    assert not guest.trusts_by_hash(made.server)
    assert not [path for path in guest.etc.iterdir() if not path.exists()], "no link leads nowhere"


def test_another_certificate_under_the_same_name(guest: Guest, made: Made) -> None:
    guest.install(made.first)
    assert not guest.trusts_by_hash(made.server)
    guest.install(made.second)
    assert guest.installed == ["agentvm-1.crt", "agentvm-host.pem"]
    assert guest.trusts_by_hash(made.server)


def test_what_the_guest_has_by_itself_is_not_added(guest: Guest, made: Made) -> None:
    """A variable may name the host's whole bundle."""
    assert guest.install(made.first).returncode == 0
    assert guest.installed == ["agentvm-host.pem"]
    assert not (guest.root / "asked").exists()
    guest.install(made.first + made.second)
    assert guest.installed == ["agentvm-2.crt", "agentvm-host.pem"]
    assert guest.trusts_by_hash(made.server)


def test_nothing_to_do(guest: Guest) -> None:
    assert guest.install("").returncode == 0
    assert not (guest.root / "asked").exists()
    assert guest.installed == []


def test_a_guest_without_a_trust_store_says_so(guest: Guest, made: Made) -> None:
    script = installing(made.first).stdin.decode().replace("/usr/local/share", f"{guest.root}/usr/local/share")
    for tool in ("mkdir", "rm", "mv"):
        (guest.root / "bin" / tool).symlink_to(str(shutil.which(tool)))
    (guest.root / "bin" / "update-ca-certificates").unlink()
    script = script.replace(":/usr/local/sbin:/usr/sbin:/sbin", "")
    done = subprocess.run(
        [*guest.shell, "-s"],
        input=script,
        env={"PATH": f"{guest.root}/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "no update-ca-certificates" in done.stdout
    assert guest.installed == []


def test_a_failed_update_is_no_success(guest: Guest, made: Made) -> None:
    guest.program("update-ca-certificates", "exit 3")
    assert guest.install(made.second).returncode == 3
    assert "agentvm-host.pem" not in guest.installed


@pytest.mark.parametrize("shell", FOUND)
def test_the_variables_name_the_guests_files(read: Read, made: Made, home: Path, shell: str) -> None:
    for name in ("a.pem", "b.pem"):
        (home / name).write_text("")
    found = read(made.first, **dict.fromkeys(CERTIFICATES, f"{home}/ca.pem"))
    contribution = certificates_contribution(found)
    expected = dict.fromkeys(CERTIFICATES, BUNDLE) | {"NODE_EXTRA_CA_CERTS": OURS, "CODEX_CA_CERTIFICATE": OURS}

    def exported(ours: str, bundle: str) -> dict[str, str]:
        lines = [line.replace(OURS, ours).replace(BUNDLE, bundle) for line in contribution.lines]
        script = "\n".join((*lines, str(shutil.which("env"))))
        out = subprocess.run([*FOUND[shell], "-s"], input=script, env={}, stdout=subprocess.PIPE, text=True, check=True)
        pairs = (line.partition("=") for line in out.stdout.splitlines())
        return {name: value for name, _, value in pairs if name in CERTIFICATES}

    there = {OURS: f"{home}/a.pem", BUNDLE: f"{home}/b.pem"}
    assert exported(*there.values()) == {name: there[path] for name, path in expected.items()}
    assert exported("/nowhere", "/nowhere") == {}, "a guest that has not got them goes on with its own"


def test_notices_are_handed_on(read: Read) -> None:
    found = read("nothing")
    assert certificates_contribution(found).notices == found.notices != ()
    assert certificates_contribution(found).lines == ()
