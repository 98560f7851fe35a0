"""hajimi while its Redis is away: it says so, or goes on alone, and never forgets a limit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.gemini import FakeGemini, answer
from tests.redises import OWN_REDIS, OwnRedis, own_redis
from tests.serving import NotStarted, Server

Serve = Callable[..., Server]

pytestmark = OWN_REDIS


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it did not come to that"
        time.sleep(0.05)


def readiness(server: Server) -> tuple[int, str]:
    with server.client("") as client:
        response = client.get("/readyz")
    return response.status_code, response.json().get("reason", "")


def test_requests_are_refused_in_words_and_limits_hold_when_it_is_back(serve: Serve, tmp_path: Path) -> None:
    with own_redis(tmp_path / "redis") as redis:
        server = serve(REDIS_URL=redis.url, MAX_REQUESTS_PER_DAY_PER_IP=4)
        assert [server.chat().status_code for _ in range(2)] == [200, 200]

        redis.kill()

        refused = server.chat()
        assert refused.status_code == 503
        assert "Redis does not answer" in refused.json()["error"]["message"]
        assert refused.headers["retry-after"] == "5"
        until(lambda: readiness(server) == (503, "Redis does not answer"))
        with server.client() as client:
            assert client.get("/v1/models").status_code == 200

        # It comes back empty; the database still knows.
        redis.start()
        until(lambda: server.chat().status_code == 200)
        until(lambda: readiness(server) == (200, ""))
        assert [server.chat().status_code for _ in range(3)] == [200, 429, 429]
        [logged] = server.rows("SELECT count(*) number FROM proxy_requestlog WHERE outcome = 'answered'")
        assert logged["number"] == 4


def test_a_process_that_may_go_on_alone_keeps_its_limits(gemini: FakeGemini, serve: Serve, tmp_path: Path) -> None:
    with own_redis(tmp_path / "redis") as redis:
        server = serve(REDIS_URL=redis.url, REDIS_AWAY="alone", MAX_REQUESTS_PER_DAY_PER_IP=4)
        assert [server.chat().status_code for _ in range(2)] == [200, 200]

        redis.kill()

        assert [server.chat().status_code for _ in range(3)] == [200, 200, 429]
        assert readiness(server) == (200, "")
        assert "each process counts limits by itself" in server.output
        redis.start()
        until(lambda: "Redis is back" in server.output)
        assert server.chat().status_code == 429
        assert len(gemini.generated) == 4


def test_answers_under_way_survive_a_redis_that_goes(gemini: FakeGemini, serve: Serve, tmp_path: Path) -> None:
    gemini.always(answer("one two three", before=1.0))
    with own_redis(tmp_path / "redis") as redis:
        server = serve(REDIS_URL=redis.url)
        statuses: list[int] = []
        client = threading.Thread(target=lambda: statuses.append(server.chat().status_code))
        client.start()
        gemini.wait_until(lambda: bool(gemini.generated))

        redis.kill()
        client.join()

        assert statuses == [200]
        [logged] = server.rows("SELECT outcome FROM proxy_requestlog")
        assert logged["outcome"] == "answered"
        assert server.stop() == 0


def test_without_its_redis_it_does_not_start_and_says_why(serve: Serve, tmp_path: Path) -> None:
    with own_redis(tmp_path / "redis") as redis:
        redis.kill()

        with pytest.raises(NotStarted) as refused:
            serve(REDIS_URL=redis.url)

        last = str(refused.value).splitlines()[-1]
        assert last.startswith("hajimi cannot start: the Redis of REDIS_URL cannot be used: ")
        assert not last.endswith("..")
        assert "Traceback" not in str(refused.value)
        assert serve(REDIS_URL=redis.url, REDIS_AWAY="alone").chat().status_code == 200


def test_a_redis_that_refuses_the_password_is_told_apart(serve: Serve, tmp_path: Path) -> None:
    redis = OwnRedis(tmp_path / "redis", options=("--requirepass", "right"))
    redis.start()
    try:
        with pytest.raises(NotStarted) as refused:
            serve(REDIS_URL=redis.url.replace("//", "//:wrong-one@"))
        assert "it refuses the password" in str(refused.value)
        assert "wrong-one" not in str(refused.value)
        assert serve(REDIS_URL=redis.url.replace("//", "//:right@")).chat().status_code == 200
    finally:
        redis.kill()


def test_it_speaks_tls_and_trusts_nobody_it_does_not_know(serve: Serve, tmp_path: Path) -> None:
    certificate, key = _certificate(tmp_path)
    redis = OwnRedis(tmp_path / "redis")
    encrypted = ("--port", "0", "--tls-port", str(redis.port), "--tls-auth-clients", "no")
    redis.options += (*encrypted, "--tls-cert-file", str(certificate), "--tls-key-file", str(key))
    redis.start()
    try:
        url = redis.url.replace("redis://", "rediss://")
        with pytest.raises(NotStarted) as refused:
            serve(REDIS_URL=url)
        assert "certificate verify failed" in str(refused.value)
        assert serve(REDIS_URL=f"{url}?ssl_ca_certs={certificate}").chat().status_code == 200
    finally:
        redis.kill()


def _certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1 that nobody has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "redis of a test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "redis.crt", folder / "redis.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = serialization.PrivateFormat.TraditionalOpenSSL
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption()))
    return paths
