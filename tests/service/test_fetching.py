"""Fetching linked media from a real server on this machine, which only these tests allow."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from proxy import fetching
from proxy.fetching import Reach, Unfetchable, fetch
from proxy.translation.chat import Inline, Link

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
HOST = "pictures.example"
# Plain http on this machine; the one test about certificates speaks https.
LOCAL = Reach(allowed=lambda ip: ip.is_loopback, schemes=frozenset({"http", "https"}))
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Pictures:
    """A web server on loopback, and the names it is asked for."""

    port: int = 0
    seen: list[web.Request] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    tls: ssl.SSLContext | None = None

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return ["127.0.0.1"]

    @property
    def reach(self) -> Reach:
        return replace(LOCAL, resolve=self.resolve, ports=frozenset({self.port}), tls=self.tls)

    def link(self, path: str, scheme: str = "http") -> Link:
        return Link(f"{scheme}://{HOST}:{self.port}{path}", place=path)

    async def get(self, path: str, **limits: float) -> Inline:
        link = self.link(path)
        return (await fetch([link], reach=self.reach, **limits))[link.url]  # type: ignore[arg-type]

    async def reason(self, path: str, **limits: float) -> str:
        with pytest.raises(Unfetchable) as caught:
            await self.get(path, **limits)
        assert caught.value.place == path
        return caught.value.reason


async def picture(request: web.Request) -> web.StreamResponse:
    return web.Response(body=PNG, headers={"Set-Cookie": "a=b; Path=/", "Content-Type": "text/html"})


async def redirect(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("http://127.0.0.1/inside")


async def page(request: web.Request) -> web.StreamResponse:
    return web.Response(text="<html>", headers={"Content-Type": "image/png"})


async def missing(request: web.Request) -> web.StreamResponse:
    return web.Response(body=PNG, status=404)


async def bomb(request: web.Request) -> web.StreamResponse:
    response = web.Response(body=PNG * 1000)
    response.enable_compression(web.ContentCoding.gzip, None)
    return response


async def large(request: web.Request) -> web.StreamResponse:
    return web.Response(body=PNG + bytes(5000))


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(PNG)
    while True:
        await response.write(bytes(65536))


async def drip(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for byte in PNG:
        await response.write(bytes([byte]))
        await asyncio.sleep(0.05)
    return response


async def silent(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(30)
    return web.Response()


async def cut(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "5000"})
    await response.prepare(request)
    await response.write(PNG)
    assert request.transport is not None
    request.transport.close()
    return response


async def slow(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(0.05)
    return web.Response(body=PNG)


HANDLERS: dict[str, Handler] = {
    "/picture": picture,
    "/redirect": redirect,
    "/page": page,
    "/missing": missing,
    "/bomb": bomb,
    "/large": large,
    "/endless": endless,
    "/drip": drip,
    "/silent": silent,
    "/cut": cut,
}


async def start(pictures: Pictures, tls: ssl.SSLContext | None = None) -> web.AppRunner:
    @web.middleware
    async def watch(request: web.Request, handler: Handler) -> web.StreamResponse:
        pictures.seen.append(request)
        pictures.at_once += 1
        pictures.most_at_once = max(pictures.most_at_once, pictures.at_once)
        try:
            return await handler(request)
        finally:
            pictures.at_once -= 1

    app = web.Application(middlewares=[watch])
    for path, handler in HANDLERS.items():
        app.router.add_get(path, handler)
    app.router.add_get("/slow/{number}", slow)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    pictures.port = runner.addresses[0][1]
    return runner


@pytest.fixture
async def pictures() -> AsyncIterator[Pictures]:
    pictures = Pictures()
    runner = await start(pictures)
    yield pictures
    await runner.cleanup()


async def test_it_fetches_a_picture_and_reads_its_type_from_its_bytes(pictures: Pictures) -> None:
    inline = await pictures.get("/picture")

    assert inline.mime == "image/png"
    assert b64decode(inline.data, validate=True) == PNG


async def test_it_keeps_the_detail_that_the_client_asked_for(pictures: Pictures) -> None:
    link = Link(pictures.link("/picture").url, detail="low")

    assert (await fetch([link], reach=pictures.reach))[link.url].detail == "low"


async def test_it_sends_the_hosts_name_and_nothing_about_us(
    pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NETRC", "/dev/null")

    await pictures.get("/picture")

    headers = pictures.seen[0].headers
    assert headers["Host"] == f"{HOST}:{pictures.port}"
    assert headers["Accept-Encoding"] == "identity"
    assert set(headers) == {"Host", "Accept", "Accept-Encoding", "User-Agent", "Connection"}


async def test_it_resolves_a_host_once_and_connects_to_that_address(pictures: Pictures) -> None:
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])

    async def rebinding(host: str, port: int) -> Sequence[str]:
        return next(answers)

    reach = replace(pictures.reach, resolve=rebinding)
    link = pictures.link("/picture")

    await fetch([link], reach=reach)

    assert next(answers) == ["10.0.0.1"]
    assert len(pictures.seen) == 1


async def test_a_host_that_answers_differently_the_second_time_is_checked_again(pictures: Pictures) -> None:
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])

    async def rebinding(host: str, port: int) -> Sequence[str]:
        return next(answers)

    reach = replace(pictures.reach, resolve=rebinding)
    await fetch([pictures.link("/picture")], reach=reach)

    with pytest.raises(Unfetchable, match=fetching.NOT_PUBLIC):
        await fetch([pictures.link("/picture")], reach=reach)

    assert len(pictures.seen) == 1


async def test_loopback_is_refused_unless_a_test_allows_it(pictures: Pictures) -> None:
    reach = Reach(resolve=pictures.resolve, ports=frozenset({pictures.port}))

    with pytest.raises(Unfetchable, match=fetching.NOT_PUBLIC):
        await fetch([pictures.link("/picture", "https")], reach=reach)

    assert pictures.asked == [HOST]
    assert pictures.seen == []


async def test_it_carries_no_cookie_from_one_file_to_the_next(pictures: Pictures) -> None:
    await fetch([pictures.link("/picture"), pictures.link("/picture?2")], reach=pictures.reach)

    assert all("Cookie" not in request.headers for request in pictures.seen)


async def test_it_fetches_the_same_link_once(pictures: Pictures) -> None:
    await fetch([pictures.link("/picture"), pictures.link("/picture")], reach=pictures.reach)

    assert len(pictures.seen) == 1


async def test_it_fetches_at_most_four_at_once(pictures: Pictures) -> None:
    links = [pictures.link(f"/slow/{number}") for number in range(12)]

    found = await fetch(links, reach=pictures.reach)

    assert set(found) == {link.url for link in links}
    assert pictures.most_at_once == 4


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/redirect", fetching.REDIRECTS),
        ("/page", fetching.BAD_TYPE),
        ("/missing", fetching.NOT_OK),
        ("/bomb", fetching.ENCODED),
        ("/cut", fetching.UNREACHABLE),
    ],
)
async def test_it_refuses(pictures: Pictures, path: str, reason: str) -> None:
    assert await pictures.reason(path) == reason
    assert len(pictures.seen) == 1


@pytest.mark.parametrize("path", ["/large", "/endless"])
async def test_it_stops_reading_at_the_limit(pictures: Pictures, path: str) -> None:
    assert await pictures.reason(path, limit_bytes=4000) == fetching.TOO_LARGE


async def test_all_files_of_a_request_share_one_limit(pictures: Pictures) -> None:
    links = [pictures.link(f"/slow/{number}") for number in range(4)]

    with pytest.raises(Unfetchable, match=fetching.TOO_LARGE):
        await fetch(links, reach=pictures.reach, total_bytes=3 * len(PNG))


@pytest.mark.parametrize("path", ["/drip", "/silent"])
async def test_it_waits_no_longer_than_it_may(pictures: Pictures, path: str) -> None:
    began = asyncio.get_running_loop().time()

    assert await pictures.reason(path, seconds=0.3) == fetching.TOO_SLOW

    assert asyncio.get_running_loop().time() - began < 2


async def test_a_slow_name_server_counts_too(pictures: Pictures) -> None:
    async def never(host: str, port: int) -> Sequence[str]:
        await asyncio.sleep(30)
        return []

    reach = replace(pictures.reach, resolve=never)

    with pytest.raises(Unfetchable, match=fetching.TOO_SLOW):
        await fetch([pictures.link("/picture")], reach=reach, seconds=0.2)


async def test_one_failure_gives_up_the_others(pictures: Pictures) -> None:
    links = [pictures.link("/silent"), pictures.link("/missing")]

    with pytest.raises(Unfetchable, match=fetching.NOT_OK) as caught:
        await fetch(links, reach=pictures.reach)

    assert caught.value.place == "/missing"


async def test_a_closed_port_is_a_plain_reason(pictures: Pictures, unused_tcp_port: int) -> None:
    pictures.port = unused_tcp_port

    assert await pictures.reason("/picture") == fetching.UNREACHABLE


async def test_a_name_that_does_not_resolve_is_told_like_a_private_one(pictures: Pictures) -> None:
    async def unknown(host: str, port: int) -> Sequence[str]:
        raise OSError(-2, "Name or service not known")

    reach = replace(pictures.reach, resolve=unknown)

    with pytest.raises(Unfetchable, match=fetching.NOT_PUBLIC):
        await fetch([pictures.link("/picture")], reach=reach)


async def test_the_systems_resolver_reads_addresses_the_way_connections_do() -> None:
    assert [ip_address(text) for text in await fetching.resolve("2130706433", 80)] == [ip_address("127.0.0.1")]


def certificate(folder: Path, name: str) -> Path:
    """Write a key and a certificate for one host name into one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.parametrize(("named", "fetched"), [(HOST, True), ("other.example", False)])
async def test_the_certificate_must_be_for_the_hosts_name(tmp_path: Path, named: str, fetched: bool) -> None:
    path = certificate(tmp_path, named)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(path)
    names: list[str | None] = []
    tls.sni_callback = lambda connection, name, context: names.append(name)
    pictures = Pictures(tls=ssl.create_default_context(cafile=str(path)))
    runner = await start(pictures, tls)
    link = pictures.link("/picture", "https")

    try:
        if fetched:
            assert (await fetch([link], reach=pictures.reach))[link.url].mime == "image/png"
        else:
            with pytest.raises(Unfetchable, match=fetching.UNREACHABLE):
                await fetch([link], reach=pictures.reach)
    finally:
        await runner.cleanup()

    assert names == [HOST]
