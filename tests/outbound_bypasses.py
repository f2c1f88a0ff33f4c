"""Every known way around a guard of outgoing requests, by the kind of the trick; docs/security.md lists the kinds.

`{port}` is a port of this machine where nobody must be reached.
"""

from __future__ import annotations

#: URLs that are refused for what they say, at registration and whenever they are called.
URLS: dict[str, tuple[str, ...]] = {
    "special addresses": (
        *("http://127.0.0.1/", "http://127.0.0.1:{port}/v1", "http://127.255.255.254/", "http://0.0.0.0:{port}/"),
        *("http://[::1]:{port}/", "http://[::]:{port}/", "http://10.0.0.5/", "http://[fe80::1]/", "http://[fec0::1]/"),
        *(
            "http://224.0.0.1/",
            "http://255.255.255.255/",
            "http://240.0.0.1/",
            "http://100.64.0.1/",
            "http://[ff02::1]/",
        ),
    ),
    "cloud metadata": (
        *("http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http://100.100.100.200/"),
        *("http://168.63.129.16/", "http://192.0.0.192/", "http://2852039166/", "http://0xa9fea9fe/"),
        *("http://[::ffff:a9fe:a9fe]/", "http://0251.0376.0251.0376/"),
    ),
    "odd spellings of IPv4": (
        *("http://127.1:{port}/", "http://127.0.1:{port}/", "http://2130706433:{port}/", "http://0x7f000001:{port}/"),
        *("http://0x7f.1:{port}/", "http://0177.0.0.1:{port}/", "http://017700000001:{port}/", "http://0:{port}/"),
        *("http://0x7F.0x0.0x0.0x1:{port}/", "http://127.0.0.1.:{port}/", "http://10.1/", "http://192.168.257/"),
        *("http://127.0.0.01:{port}/", "http://00000177.1:{port}/", "http://4294967297/", "http://999.1.1.1/"),
        *("http://1.2.3.4.5/", "http://0x/", "http://256/"),
    ),
    "other digits and letters": (
        *("http://\uff11\uff12\uff17.0.0.1:{port}/", "http://①②⑦.⓪.⓪.①:{port}/", "http://127。0。0。1:{port}/"),
        *(
            "http://127\uff0e0\uff0e0\uff0e1:{port}/",
            "http://\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54:{port}/",
        ),
        *("http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:{port}/", "http://%31%32%37.0.0.1:{port}/", "http://127.0.0.1%00.example.com/"),
        *("http://local\u00adhost:{port}/", "http://local\u200bhost:{port}/"),
    ),
    "names of this machine": (
        *(
            "http://localhost:{port}/",
            "http://LOCALHOST:{port}/",
            "http://localhost.:{port}/",
            "http://localhost..:{port}/",
        ),
        *("http://app.localhost:{port}/", "http://loc%61lhost:{port}/"),
    ),
    "IPv4 inside IPv6": (
        *("http://[::ffff:127.0.0.1]:{port}/", "http://[::ffff:7f00:1]:{port}/", "http://[::127.0.0.1]:{port}/"),
        *("http://[0:0:0:0:0:ffff:7f00:1]:{port}/", "http://[::ffff:0:127.0.0.1]:{port}/", "http://[2002:7f00:1::]/"),
        *("http://[64:ff9b::7f00:1]/", "http://[64:ff9b:1::7f00:1]/", "http://[2001:0:7f00:1::]/"),
        "http://[2606:4700::5efe:7f00:1]/",
    ),
    "IPv6 zones": ("http://[fe80::1%25eth0]/", "http://[fe80::1%eth0]/", "http://[::1%25lo]:{port}/"),
    "user names before the host": (
        *("http://good@127.0.0.1:{port}/", "http://example.com@127.0.0.1:{port}/", "http://@127.0.0.1:{port}/"),
        *("http://user:secret@example.com/", "http://example.com:80@127.0.0.1:{port}/", "http://:@127.0.0.1:{port}/"),
    ),
    "backslashes": (
        *("http://127.0.0.1:{port}\\@example.com/", "http://example.com\\@127.0.0.1:{port}/"),
        *("http:\\\\127.0.0.1:{port}\\", "http://example.com\\.127.0.0.1:{port}/"),
    ),
    "spaces and control characters": (
        *(
            "http://exa\tmple.com/",
            "http://example.com\r\nX-Injected: 1/",
            "http://exam ple.com/",
            " http://example.com/",
        ),
        *(
            "http://example.com/\r\nHost: 127.0.0.1",
            "http://example.com/a b",
            "http://example.com/\x01",
            "http://a\u2028b/",
        ),
        "http://127.0.0.1:{port}/\n",
    ),
    "schemes": (
        *("file:///etc/passwd", "gopher://example.com/", "ftp://example.com/", "unix:///run/docker.sock"),
        *("javascript:1", "dict://example.com:11211/", "ldap://example.com/", "ws://127.0.0.1:{port}/"),
        *("http+unix://%2Frun%2Fdocker.sock/", "data:text/plain,a", "//example.com/", "example.com/a"),
    ),
    "no host": ("http://", "http:///path", "http://:80/", "http:path", "", "http://?q", "http://./", "http://%20/"),
    "ports": (
        *("http://example.com:0/", "http://example.com:65536/", "http://example.com:port/", "http://example.com:-1/"),
        *("http://example.com:25/", "http://example.com:6379/", "https://example.com:22/"),
    ),
    "broken brackets": ("http://[::1/", "http://[1.2.3.4]/", "http://::1/", "http://[example.com]/", "http://[]/"),
    "too long": ("http://example.com/" + "a" * 3000,),
}

#: Addresses that a name may resolve to and that are not connected to.
ADDRESSES: dict[str, tuple[str, ...]] = {
    "special addresses": (
        *("0.0.0.0", "0.1.2.3", "10.0.0.1", "127.0.0.1", "127.255.255.254", "172.16.0.1", "172.31.255.255"),
        *("192.168.1.1", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9"),
        *("224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "100.64.0.1", "169.254.1.1", "::", "::1"),
        *("fe80::1", "fec0::1", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1", "2001:2::1", "2001:10::1", "3fff::1"),
        *("100::1", "5f00::1"),
    ),
    "cloud metadata": ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
    "IPv4 inside IPv6": (
        *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::10.0.0.1", "::ffff:0:127.0.0.1", "2002:7f00:1::"),
        *("2002:a9fe:a9fe::1", "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1:7f00:0:100::"),
        *("64:ff9b:1:808:8:800:10.0.0.1", "2001:0:7f00:1::", "2001:0:808:808::80ff:fffe"),
        *("2606:4700::5efe:127.0.0.1", "2606:4700::200:5efe:10.0.0.1"),
    ),
    "IPv6 zones": ("fe80::1%eth0", "fe80::1%1"),
}

#: What a resolver answers, look-up by look-up, for a name that is first public, or public too; {public} may be called.
REBINDINGS: dict[str, tuple[tuple[str, ...], ...]] = {
    "names that change their mind": (("{public}",), ("127.0.0.1",)),
    "names with two faces": (("10.0.0.1", "{public}", "127.0.0.1"),),
}
