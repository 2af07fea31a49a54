"""Whoever answers in the API's place, with a certificate that proves nothing, gets nothing: F46."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from runner.api.client import LlmResponses
from runner.api.errors import Untrusted
from runner.rows import Attempt
from runner.task import NotTaken, Provider, TaskId

NAMES = [
    pytest.param(["-subj", "/CN=elsewhere.example"], id="of another name"),
    pytest.param(
        ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"], id="signed by nobody"
    ),
]


@pytest.fixture
def certificate(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A fresh certificate that signed itself, and its key, in one file.

    By the program ``openssl``, which comes with the certificates of every system that has any.
    """
    made = tmp_path / "made.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    subprocess.run(
        [*command, *request.param, "-keyout", tmp_path / "key.pem", "-out", tmp_path / "only.pem"],
        check=True,
        capture_output=True,
    )
    made.write_bytes((tmp_path / "key.pem").read_bytes() + (tmp_path / "only.pem").read_bytes())
    return made


@asynccontextmanager
async def secured(certificate: Path, received: list[bytes]) -> AsyncIterator[str]:
    """The address of a server that speaks TLS and keeps what it is told after the handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.read(65536))
        writer.close()

    listener = await asyncio.start_server(listen, "127.0.0.1", 0, ssl=context)
    try:
        yield f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()


@pytest.mark.parametrize("certificate", NAMES, indirect=True)
async def test_a_real_certificate_that_proves_nothing_gets_no_byte(certificate: Path) -> None:
    """Neither the prompts nor the password, for a paid call as for a free one."""
    received: list[bytes] = []
    batch = [Attempt(task=TaskId(1), number=1, tag="a", body=b"{}")]
    async with (
        secured(certificate, received) as url,
        LlmResponses(base_url=url, login="me", password="secret") as client,
    ):
        got = await client.task_post(Provider.CLAUDE, batch)
        with pytest.raises(Untrusted):
            await client.user_data()
    assert not got.sent
    assert isinstance(got.trouble, Untrusted)
    assert [type(outcome) for outcome in got.outcomes] == [NotTaken]
    assert b"".join(received) == b""
