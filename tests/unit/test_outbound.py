"""The SSRF guard's rules: what may be called, and every known way to write what may not."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from workerapp.contract.outbound import OutboundPolicy, OutboundRefused

PUBLIC_ONLY = OutboundPolicy()
LOOPBACK = OutboundPolicy.parse("127.0.0.0/8, ::1")

REFUSED_ADDRESSES = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254"),
    *("168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1"),
    *("192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.1.1.1"),
    *("240.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd00:ec2::254"),
    *("ff02::1", "2001:db8::1", "2001:2::1", "2001:10::1", "3fff::1", "100::1", "5f00::1"),
]
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
]
PUBLIC_ADDRESSES = [
    *("1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.1"),
    *("198.17.255.255", "223.255.255.255", "2606:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"),
    *("2002:808:808::1",),
]
BYPASS_URLS = [
    *("http://127.0.0.1/", "http://127.0.0.1:8900/v1", "http://127.1/", "http://127.0.1/", "http://2130706433/"),
    *("http://0x7f000001/", "http://0x7f.1/", "http://0177.0.0.1/", "http://017700000001/", "http://0x7F.0x0.0x0.0x1/"),
    *("http://0/", "http://0.0.0.0/", "http://127.0.0.1./", "http://localhost/", "http://LOCALHOST:80/"),
    *("http://localhost./", "http://app.localhost/", "http://[::1]/", "http://[::]/", "http://[::ffff:127.0.0.1]/"),
    *("http://[::ffff:7f00:1]/", "http://[0:0:0:0:0:ffff:7f00:1]/", "http://[::127.0.0.1]/", "http://[fe80::1]/"),
    *("http://[fe80::1%25eth0]/", "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/", "http://169.254.169.254/"),
    *("http://2852039166/", "http://0xa9fea9fe/", "http://[::ffff:a9fe:a9fe]/", "http://[fd00:ec2::254]/"),
    *(
        "http://\uff11\uff12\uff17.0.0.1/",
        "http://①②⑦.⓪.⓪.①/",
        "http://127。0。0。1/",
        "http://10.1/",
        "http://192.168.257/",
    ),
    *("http://127.0.0.1\\@example.com/", "http://example.com\\@127.0.0.1/", "http://example.com@127.0.0.1/"),
    *("http://user:secret@example.com/", "http://@127.0.0.1/", "http://%31%32%37.0.0.1/", "http://127.0.0.1%00.a.com/"),
    *(
        "http://exa\tmple.com/",
        "http://example.com\r\nX: 1/",
        "http://exam ple.com/",
        "//example.com/",
        "example.com/a",
    ),
    *("file:///etc/passwd", "gopher://example.com/", "ftp://example.com/", "unix:///run/docker.sock", "javascript:1"),
    *("http://", "http:///path", "http://:80/", "http://example.com:0/", "http://example.com:65536/", ""),
    *("http://example.com:port/", "http://[::1/", "http://[1.2.3.4]/", "http://999.1.1.1/", "http://1.2.3.4.5/"),
    "http://example.com/" + "a" * 3000,
]


@pytest.mark.parametrize("address", REFUSED_ADDRESSES)
def test_address_that_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(OutboundRefused, match="may not be called"):
        PUBLIC_ONLY.check_address(address)


@pytest.mark.parametrize(("address", "meant"), WRAPPED_ADDRESSES)
def test_address_inside_a_tunnel_or_translation_is_what_counts(address: str, meant: str) -> None:
    with pytest.raises(OutboundRefused, match="may not be called"):
        PUBLIC_ONLY.check_address(address)
    if not address.startswith(("64:ff9b:1:", "2001:0:")):  # Those two hold a second address.
        OutboundPolicy(allow=(ip_network(meant),)).check_address(address)


@pytest.mark.parametrize("address", ["64:ff9b:1:7f00:0:100::", "::ffff:127.0.0.1", "2002:7f00:1::"])
def test_allowing_the_outer_address_does_not_allow_the_inner_one(address: str) -> None:
    with pytest.raises(OutboundRefused):
        OutboundPolicy.parse("::/0").check_address(address)


@pytest.mark.parametrize("address", PUBLIC_ADDRESSES)
def test_public_address_may_be_called(address: str) -> None:
    PUBLIC_ONLY.check_address(address)


@pytest.mark.parametrize("url", BYPASS_URLS)
def test_bypass_url_is_refused(url: str) -> None:
    with pytest.raises(OutboundRefused):
        PUBLIC_ONLY.check_url(url)


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
