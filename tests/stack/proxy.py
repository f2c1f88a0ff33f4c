"""nginx in front of gateways, with the configuration that is deployed: only its ports and folders are a test's own."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.stack.process import ROOT, Process
from tests.stack.services import free_port
from tests.waiting import until

CONFIGURATION = ROOT / "deploy" / "nginx.conf"
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def nginx_program() -> str:
    """Where nginx is; the test is skipped if there is none."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")
    if program is None:
        pytest.skip("there is no nginx on this machine (Debian and Ubuntu: apt install nginx-light)")
    return program


class Nginx(Process):
    """Listens on a port of its own, and with TLS on a second one; `folder` is empty and every account may enter it."""

    def __init__(self, folder: Path, gateways: Sequence[int]) -> None:
        self.folder = folder
        self.port, self.tls_port = free_port(), free_port()
        self._configuration = folder / "nginx.conf"
        self._configuration.write_text(_configuration(folder, gateways, self.port, self.tls_port))
        write_certificate(folder)
        options = ["-p", str(folder), "-c", str(self._configuration)]
        super().__init__("nginx", [*options, "-g", f"daemon off; pid {folder}/pid;"], {}, nginx_program())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def tls_url(self) -> str:
        return f"https://127.0.0.1:{self.tls_port}"

    def start(self) -> None:
        super().start()
        until(self._listens)

    def _listens(self) -> bool:
        self.assert_running()
        with socket.socket() as connection:
            return connection.connect_ex(("127.0.0.1", self.port)) == 0

    def log(self) -> str:
        """All that it has written: requests and errors."""
        return "".join(path.read_text() for path in sorted(self.folder.glob("*.log")))


def verdict(configuration: Path, folder: Path) -> str:
    """What `nginx -t` says."""
    options = ["-t", "-p", str(folder), "-c", str(configuration), "-g", f"pid {folder}/pid;"]
    return subprocess.run([nginx_program(), *options], capture_output=True, text=True, check=False).stderr


def _configuration(folder: Path, gateways: Sequence[int], port: int, tls_port: int) -> str:
    """What is deployed, with what is switched off there (TLS) switched on."""
    text = re.sub(r"^( *)#(?! )", r"\1", CONFIGURATION.read_text(), flags=re.MULTILINE)
    kinds = dict.fromkeys(re.findall(r"server 127\.0\.0\.1:\d+ (.*)", text))
    servers = "\n".join(f"server 127.0.0.1:{gateway} {kind}" for kind in kinds for gateway in gateways)
    temporary = "".join(f"{name}_temp_path {folder}/{name};" for name in TEMPORARY)
    for pattern, replacement in (
        (r"/var/log/nginx|/etc/ssl/certs|/etc/ssl/private", str(folder)),
        (r"listen 80;", f"listen 127.0.0.1:{port};"),
        (r"listen 443 ", f"listen 127.0.0.1:{tls_port} "),
        (r"( *server 127\.0\.0\.1:\d+ .*\n)+", servers + "\n"),
        (r"^http \{", "http {" + temporary),
    ):
        text, changes = re.subn(pattern, replacement, text, flags=re.MULTILINE)
        assert changes, f"{CONFIGURATION.name} has no {pattern} any more"
    return text


def write_certificate(folder: Path) -> None:
    """`gateway.pem`, signed by itself, and `gateway.key`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem, text = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / "gateway.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "gateway.key").write_bytes(key.private_bytes(pem, text, serialization.NoEncryption()))
