"""REDIS_URL: the forms it takes, and those it refuses in one sentence."""

from __future__ import annotations

import pytest

from hajimi_site import environment


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        ("redis://localhost", "redis://localhost"),
        ("redis://user:secret@host:6380/3", "redis://user:secret@host:6380/3"),
        ("redis://[::1]:6379/0", "redis://[::1]:6379/0"),
        ("rediss://host/0?ssl_ca_certs=/etc/ca.pem", "rediss://host/0?ssl_ca_certs=/etc/ca.pem"),
        ("unix:///run/redis.sock?db=2", "unix:///run/redis.sock?db=2"),
        ("valkey://host:6379/0", "redis://host:6379/0"),
        ("valkeys://host:6379/0", "rediss://host:6379/0"),
    ],
)
def test_one_server_in_every_form_the_library_takes(given: str, understood: str) -> None:
    assert environment.read({"REDIS_URL": given}).values["REDIS_URL"] == understood


@pytest.mark.parametrize(
    "given",
    [
        "localhost:6379",
        "http://localhost:6379",
        "redis+sentinel://one:26379,two:26379/mymaster",
        "sentinel://one:26379/mymaster",
        "redis://one:6379,two:6379/0",
        "redis://host:0/0",
        "redis://host/zero",
    ],
)
def test_what_is_no_address_of_one_server_is_refused_with_what_is_allowed(given: str) -> None:
    with pytest.raises(environment.BadEnvironment) as refused:
        environment.read({"REDIS_URL": given})

    assert str(refused.value).startswith(
        "REDIS_URL is set to a value that cannot be used; it must be the address of one"
    )
    assert "Sentinel and clusters are reached through their proxy" in str(refused.value)


def test_a_prefix_is_one_word() -> None:
    assert environment.read({"REDIS_PREFIX": "hajimi:two"}).values["REDIS_PREFIX"] == "hajimi:two"
    with pytest.raises(environment.BadEnvironment, match="REDIS_PREFIX"):
        environment.read({"REDIS_PREFIX": "two words"})
