"""The SSRF guard's rules: what may be called, and every known way to write what may not."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from tests.outbound_bypasses import ADDRESSES, REBINDINGS, URLS
from tests.stack.process import ROOT
from workerapp.contract.outbound import REFUSED_PORTS, OutboundPolicy, OutboundRefused

PUBLIC_ONLY = OutboundPolicy.parse("", REFUSED_PORTS)
LOOPBACK = OutboundPolicy.parse("127.0.0.0/8, ::1")

WRAPPED_ADDRESSES = [
    ("::ffff:127.0.0.1", "127.0.0.1"),
    ("::ffff:169.254.169.254", "169.254.169.254"),
    ("::10.0.0.1", "10.0.0.1"),
    ("2002:7f00:1::", "127.0.0.1"),
    ("2002:a9fe:a9fe::1", "169.254.169.254"),
    ("64:ff9b::127.0.0.1", "127.0.0.1"),
    ("64:ff9b::a9fe:a9fe", "169.254.169.254"),
    ("64:ff9b:1:7f00:0:100::", "127.0.0.1"),
    ("64:ff9b:1:808:8:800:10.0.0.1", "10.0.0.1"),
    ("2001:0:7f00:1::", "127.0.0.1"),  # Teredo: the server is in the clear …
    ("2001:0:808:808::80ff:fffe", "127.0.0.1"),  # … and the client is inverted.
    ("2606:4700::5efe:127.0.0.1", "127.0.0.1"),
]
PUBLIC_ADDRESSES = [
    *("1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.1"),
    *("198.17.255.255", "223.255.255.255", "2606:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"),
    *("2002:808:808::1",),
]


@pytest.mark.parametrize("address", [address for kind in ADDRESSES.values() for address in kind])
def test_address_that_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(OutboundRefused, match="may not be called"):
        PUBLIC_ONLY.check_address(address)


@pytest.mark.parametrize(("address", "meant"), WRAPPED_ADDRESSES)
def test_address_inside_a_tunnel_or_translation_is_what_counts(address: str, meant: str) -> None:
    with pytest.raises(OutboundRefused, match="may not be called"):
        PUBLIC_ONLY.check_address(address)
    if not address.startswith(("64:ff9b:1:", "2001:0:")):  # These hold a second address.
        OutboundPolicy(allow=(ip_network(meant),)).check_address(address)


@pytest.mark.parametrize("address", ["64:ff9b:1:7f00:0:100::", "::ffff:127.0.0.1", "2002:7f00:1::"])
def test_allowing_the_outer_address_does_not_allow_the_inner_one(address: str) -> None:
    with pytest.raises(OutboundRefused):
        OutboundPolicy.parse("::/0").check_address(address)


@pytest.mark.parametrize("address", PUBLIC_ADDRESSES)
def test_public_address_may_be_called(address: str) -> None:
    PUBLIC_ONLY.check_address(address)


@pytest.mark.parametrize("url", [url for kind in URLS.values() for url in kind])
def test_bypass_url_is_refused(url: str) -> None:
    with pytest.raises(OutboundRefused):
        PUBLIC_ONLY.check_url(url.replace("{port}", "8080"))


def test_every_kind_of_bypass_is_in_the_documents() -> None:
    text = (ROOT / "docs" / "security.md").read_text()
    assert {kind for kind in URLS | ADDRESSES | REBINDINGS if f"| {kind} |" not in text} == set()


def test_refused_ports_are_the_operators_choice() -> None:
    OutboundPolicy.parse("", [0]).check_url("http://example.com:25/")
    with pytest.raises(OutboundRefused, match=r"port 8080 may not be called.*GATEWAY_OUTBOUND_REFUSED_PORTS"):
        OutboundPolicy.parse("", [8080]).check_url("http://example.com:8080/")
    with pytest.raises(OutboundRefused, match="port 443"):
        OutboundPolicy.parse("", [443]).check_url("https://example.com/")


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com/v1/chat",
        "http://example.com:8080/?q=1#a",
        "https://münchen.example/",
        "http://8.8.8.8/",
    ],
)
def test_public_url_is_accepted(url: str) -> None:
    PUBLIC_ONLY.check_url(url)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8900/v1", "http://localhost:1/", "http://[::1]/", "http://[::ffff:127.0.0.1]/"]
)
def test_allowed_network_opens_exactly_itself(url: str) -> None:
    LOOPBACK.check_url(url)
    with pytest.raises(OutboundRefused):
        LOOPBACK.check_address("10.0.0.1")


def test_refusal_names_the_address_and_the_setting() -> None:
    with pytest.raises(OutboundRefused, match=r"10\.0\.0\.5 is a private address .* GATEWAY_OUTBOUND_ALLOW"):
        PUBLIC_ONLY.check_url("http://10.0.0.5/")


def test_refusal_does_not_repeat_a_password() -> None:
    with pytest.raises(OutboundRefused) as caught:
        PUBLIC_ONLY.check_url("http://user:hunter2@example.com/")
    assert "hunter2" not in str(caught.value)


def test_unusual_notation_is_refused_even_where_its_address_is_allowed() -> None:
    with pytest.raises(OutboundRefused, match=r"unusual way to write 127\.0\.0\.1"):
        LOOPBACK.check_url("http://2130706433/")


@pytest.mark.parametrize("setting", ["", " ", ",", "127.0.0.0/8,", "10.0.0.0/8 , fd00::/8", "10.1.2.3"])
def test_setting_of_networks_is_read(setting: str) -> None:
    assert len(OutboundPolicy.parse(setting).allow) == sum(1 for part in setting.split(",") if part.strip())


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("10.0.0.1/8", r"'10.0.0.1/8' is not a network in CIDR notation; did you mean 10\.0\.0\.0/8\?"),
        ("localhost", "GATEWAY_OUTBOUND_ALLOW: 'localhost' is not a network"),
        ("10.0.0.0/33", "for example 10"),
    ],
)
def test_setting_that_is_no_network_is_explained(setting: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        OutboundPolicy.parse(setting)
