"""Redis is not as a node expects it at its start."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from drill.figures import Faults, Figures
from testing.processes import ServerProcess, arguments, launch
from testing.redis_server import RedisServer, lasting_port
from testing.tcp_proxy import Proxy
from testing.visitor import Visitor

faults = Faults()

REFUSED = 2


async def _refused(figures: Figures, folder: Path, what: str, url: str) -> None:
    """It ends by itself with status 2 and says why in one line."""
    log_file = folder / f"{what}.log"
    flags = {"port": 0, "database": folder / "presence.sqlite3", "redis_url": url}
    process = await launch(*arguments(flags), log_file=log_file)
    try:
        async with asyncio.timeout(20):
            status = await process.wait()
    except TimeoutError:
        process.kill()
        status = await process.wait()
    # What it starts with may stand in the log before.
    lines = [line for line in log_file.read_text().splitlines() if " INFO " not in line]
    figures.note(f"{what}: status", status, "")
    figures.holds(f"{what} ends the start with status 2", status == REFUSED, status)
    figures.holds(f"{what} is said in one line", len(lines) == 1, lines)
    figures.holds(f"{what}: no password is shown", "wrong-one" not in "".join(lines), lines)


async def _alone(figures: Figures, folder: Path, what: str, url: str) -> None:
    """It starts, says that it is alone, and serves."""
    server = ServerProcess(folder, what, redis_url=url)
    begun = monotonic()
    try:
        await server.start()
        figures.at_most(f"{what}: listens after", monotonic() - begun, 10 * figures.slack)
        figures.holds(f"{what} is said", "No contact with Redis" in server.log, server.log)
        async with Visitor.at(server.url) as visitor:
            await visitor.enter(f"alice-{what}")
            async with visitor.live() as live:
                await live.sees(f"alice-{what}", "online")
        figures.at_most(f"{what}: exit status", await server.terminate(), 0, "")
    finally:
        await server.kill()


@asynccontextmanager
async def _redis(password: str = "") -> AsyncIterator[RedisServer]:
    server = RedisServer(port=lasting_port(), password=password)
    try:
        await asyncio.to_thread(server.start)
        yield server
    finally:
        server.remove()


def _untrusted(folder: Path) -> ssl.SSLContext:
    """A TLS end whose certificate nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = folder / "untrusted.pem"
    file.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + certificate.public_bytes(Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


@faults.add(
    "F7a",
    "at the start: wrong password, unknown host, bad certificate; nobody listens, nobody answers",
    promised="the first three: one line and status 2; the others: it starts alone and says so",
    seconds=10,
)
async def starts(figures: Figures) -> None:
    with TemporaryDirectory(prefix="drill-") as name:
        folder = Path(name)
        async with _redis("right-one") as redis:
            port = redis.url.rpartition(":")[2]
            wrong = f"redis://:wrong-one@127.0.0.1:{port}"
            await _refused(figures, folder, "wrong-password", wrong)
            await _refused(figures, folder, "no-password", f"redis://127.0.0.1:{port}")
            async with Proxy(("127.0.0.1", int(port)), _untrusted(folder)) as proxy:
                await _refused(figures, folder, "own-TLS", f"rediss://127.0.0.1:{proxy.port}")
            await _refused(figures, folder, "unknown-host", "redis://no.such.host.invalid:6379")
            async with Proxy(("127.0.0.1", int(port))) as proxy:
                proxy.stop()
                await _alone(figures, folder, "silent", f"redis://127.0.0.1:{proxy.port}")
        await _alone(figures, folder, "absent", f"redis://127.0.0.1:{lasting_port()}")
