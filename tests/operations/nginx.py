"""A real nginx with the very file that docs/operations.md tells people to use."""

import asyncio
import os
import subprocess
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from presence_server.resources import ROOT
from testing.install_nginx import nginx_binary
from testing.redis_server import lasting_port

SITE = (ROOT / "deploy" / "nginx.conf").read_text()
NAME = "example.com"

_STARTED_WITHIN = 30

# Or the workers of root's nginx could not enter the test's folder.
_USER = "user root;" if os.geteuid() == 0 else ""

# What Debian's own nginx.conf says, as far as it matters here.
_AROUND = """
daemon off;
{user}
pid {folder}/pid;
worker_processes 2;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


class Nginx:
    """Serves `site`, a file like deploy/nginx.conf, on free ports in place of 443 and 80."""

    def __init__(self, folder: Path) -> None:
        binary = nginx_binary()
        assert binary is not None
        self.port, self.plain_port = lasting_port(), lasting_port()
        self._folder = folder
        self._command = [binary, "-c", str(folder / "nginx.conf"), "-p", str(folder)]
        self._process: subprocess.Popen[bytes] | None = None

    def configure(self, site: str) -> str | None:
        """Take the file over; what nginx finds wrong with it, if anything."""
        listens = {
            "    listen [::]:80;\n": "",
            "    listen [::]:443 ssl;\n": "",
            "listen 80;": f"listen 127.0.0.1:{self.plain_port};",
            "listen 443 ssl;": f"listen 127.0.0.1:{self.port} ssl;",
        }
        site = replaced(site, listens)
        assert site.count("/var/log/nginx/access.log") == 2
        site = site.replace("/var/log/nginx/access.log", str(self._folder / "access.log"))
        (self._folder / "site.conf").write_text(site)
        (self._folder / "nginx.conf").write_text(_AROUND.format(folder=self._folder, user=_USER))
        tested = subprocess.run([*self._command, "-t"], capture_output=True, text=True)
        return tested.stderr if tested.returncode else None

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")

    @property
    def access_log(self) -> str:
        return (self._folder / "access.log").read_text(errors="replace")

    @property
    def url(self) -> str:
        return f"https://{NAME}:{self.port}"

    async def start(self) -> Self:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        async with asyncio.timeout(_STARTED_WITHIN):
            while True:
                assert self._process.poll() is None, self.log
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except ConnectionError:
                    await asyncio.sleep(0.05)
                    continue
                writer.close()
                return self

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)


def replaced(text: str, changes: Mapping[str, str]) -> str:
    """With each of the changes made in one place; that there is one is part of the test."""
    for ours, theirs in changes.items():
        assert text.count(ours) == 1, ours
        text = text.replace(ours, theirs)
    return text


def make_certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "certificate.pem", folder / "key.pem"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate_file, key_file
