"""Whom a gateway listens to: hosts, origins of pages, and proxies, as settings name them."""

from __future__ import annotations

import pytest
from starlette.datastructures import MutableHeaders

from gateway.settings import GatewaySettings, SettingsInvalid, load_gateway_settings
from gateway.transport.hosts import Hosts, read_proxies

URL = "postgresql://gateway@db.example.com/tests"


def settings(**values: str) -> GatewaySettings:
    return load_gateway_settings(database_url=URL, _env_file=None, **values)


@pytest.mark.parametrize(
    "host", ["gateway.example.com", "GATEWAY.example.com:8443", "gateway.example.com.", "[::1]:80"]
)
def test_a_host_is_served_by_its_name_whatever_the_port(host: str) -> None:
    assert Hosts.parse(["Gateway.example.com", "[::1]"]).include(host)


@pytest.mark.parametrize(
    "host", ["", "example.com", "evil.com", "gateway.example.com.evil.com", "evil.com:gateway.example.com", "[::2]"]
)
def test_another_host_is_not_served(host: str) -> None:
    assert not Hosts.parse(["gateway.example.com", "[::1]"]).include(host)


@pytest.mark.parametrize(
    ("host", "is_served"),
    [("a.example.com", True), ("a.b.example.com:1", True), ("example.com", False), ("aexample.com", False)],
)
def test_a_pattern_stands_for_the_names_below(host: str, is_served: bool) -> None:  # noqa: FBT001 - a column
    assert Hosts.parse(["*.example.com"]).include(host) is is_served


def test_without_names_every_host_is_served() -> None:
    assert settings().hosts.include("anything")


def test_origins_are_compared_as_browsers_write_them() -> None:
    origins = settings(cors_origins="https://App.example.com, http://localhost:3000,https://b.example.com:443").origins
    allowed = ("https://app.example.com", "http://localhost:3000", "https://b.example.com")
    assert all(origins.allow(origin) for origin in allowed)
    refused = ("http://app.example.com", "https://app.example.com.evil.com", "http://localhost:3001", "null", "")
    assert not any(origins.allow(origin) for origin in refused)


def test_any_origin_needs_no_variants_of_an_answer() -> None:
    headers = MutableHeaders()
    settings(cors_origins="*").origins.mark(headers, None)
    assert headers["access-control-allow-origin"] == "*"
    assert "vary" not in headers
    assert "access-control-allow-credentials" not in headers


def test_proxies_are_known_by_how_either_socket_writes_them() -> None:
    assert read_proxies(["10.0.0.0/8", "::1"]) == ("10.0.0.0/8", "::ffff:10.0.0.0/104", "::1/128")
    assert "127.0.0.0/8" in settings().proxies


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("allowed_hosts", "https://a.example.com", "such as gateway.example.com"),
        ("allowed_hosts", "a.example.com:80", "no port"),
        ("allowed_hosts", "*", "is not a host"),
        ("cors_origins", "app.example.com", "such as https://app.example.com"),
        ("cors_origins", "https://app.example.com/", "is not an origin"),
        ("cors_origins", "null", "is not an origin"),
        ("cors_origins", "https://*.example.com", "name each"),
        ("cors_origins", "https://me@app.example.com", "name each"),
        ("trusted_proxies", "*", "such as 10.0.0.0/8"),
        ("trusted_proxies", "10.0.0.1/8", "is not an address or a network"),
    ],
)
def test_a_setting_that_cannot_be_read_is_explained(name: str, value: str, sentence: str) -> None:
    with pytest.raises(SettingsInvalid, match=f"GATEWAY_{name.upper()}: .*{sentence}"):
        settings(**{name: value})
