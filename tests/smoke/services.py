"""Services on the loopback interface of the user's computer."""

from __future__ import annotations

import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

GATEWAY = "host.lima.internal"


class Service:
    """Its port, and what was asked of it: method and target of each request."""

    def __init__(self, port: int, asked: list[str]) -> None:
        self.port = port
        self.asked = asked


@contextmanager
def service(certificate: Path | None = None) -> Iterator[Service]:
    """Answers every question with "here", and refuses every order. With a certificate (and its key in it) by https."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(200, b"here")

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self._answer(400, b'{"type":"error","error":{"type":"invalid_request_error","message":"not today"}}')

        def _answer(self, status: int, body: bytes) -> None:
            asked.append(f"{self.command} {self.path}")
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: `asked` tells it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Service(server.server_address[1], asked)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def make_authority(directory: Path) -> tuple[Path, Path]:
    """A private authority's certificate, and a file with key and certificate of a server that it vouches for."""
    authority, server = directory / "authority.pem", directory / "server.pem"
    make = (
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    )
    key = directory / "authority.key"
    _run(*make, "-subj", "/CN=Corp CA", "-keyout", str(key), "-out", str(authority))
    signed = ("-CA", str(authority), "-CAkey", str(key), "-addext", f"subjectAltName=DNS:{GATEWAY}")
    plain = ("-addext", "basicConstraints=critical,CA:FALSE")
    part, own = directory / "server.crt", directory / "server.key"
    _run(*make, *signed, *plain, "-subj", f"/CN={GATEWAY}", "-keyout", str(own), "-out", str(part))
    server.write_text(own.read_text() + part.read_text())
    return authority, server


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)
