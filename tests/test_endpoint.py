"""Does an endpoint string name the backend that Twisted's syntax says, or nothing?"""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockproxy.endpoint import BadEndpoint, parse_host_port, parse_target
from sockproxy.settings import HostPort, Target, TcpTarget, Tls, UnixTarget


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("tcp:irc.example.org:6667", TcpTarget(host="irc.example.org", port=6667)),
        ("tcp:IRC.example.org.:6667", TcpTarget(host="irc.example.org", port=6667)),
        ("tcp:127.0.0.1:65535", TcpTarget(host="127.0.0.1", port=65535)),
        (r"tcp:\:\:1:1", TcpTarget(host="::1", port=1)),
        ("unix:/run/app.sock", UnixTarget(path="/run/app.sock")),
        (r"unix:/run/a\:b\\c", UnixTarget(path=r"/run/a:b\c")),
        (
            "tls:irc.example.org:6697",
            TcpTarget(host="irc.example.org", port=6697, tls=Tls(server_name="irc.example.org")),
        ),
        (
            "tls:10.0.0.1:6697:name=irc.example.org:ca=/etc/ca.pem",
            TcpTarget(
                host="10.0.0.1",
                port=6697,
                tls=Tls(server_name="irc.example.org", ca_file="/etc/ca.pem"),
            ),
        ),
        (
            f"tls:irc.example.org:6697:pin={'AB' * 32}:pin={'0' * 64}:name=IRC.example.net.",
            TcpTarget(
                host="irc.example.org",
                port=6697,
                tls=Tls(server_name="irc.example.net", pins=("ab" * 32, "0" * 64)),
            ),
        ),
        (
            "tls:irc.example.org:6697:certificate=c.pem:privateKey=k=1.pem",
            TcpTarget(
                host="irc.example.org",
                port=6697,
                tls=Tls(
                    server_name="irc.example.org",
                    certificate_file="c.pem",
                    private_key_file="k=1.pem",
                ),
            ),
        ),
    ],
)
def test_a_backend_is_what_its_endpoint_says(text: str, target: Target) -> None:
    assert parse_target(text) == target


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("", "write tcp:HOST:PORT, tls:HOST:PORT or unix:/PATH"),
        ("irc.example.org:6667", "write tcp:HOST:PORT"),
        ("tcp:irc.example.org", "write tcp:HOST:PORT"),
        ("unix:run/app.sock", "or unix:/PATH"),
        ("unix:", "or unix:/PATH"),
        ("unix:/a:mode=666", "or unix:/PATH"),
        ("tcp:h:1:timeout=3", "tcp: takes a host and a port, nothing else"),
        ("tcp:h:1:name=h", "tcp: takes a host and a port, nothing else"),
        ("tls:h:1:verify=no", "'verify=no': options of tls: are name, ca, certificate, privateKey"),
        ("tls:h:1:ca=", "'ca=': options of tls: are"),
        ("tls:h:1:ca", "'ca': options of tls: are"),
        ("tls:h:1:pin=abc", "pin 'abc' is not 64 hex digits, such as: openssl x509"),
        ("tls:h:1:pin=" + "g" * 64, "is not 64 hex digits"),
        ("tls:h:1:name=a b", "'a b' is neither a host name nor an address"),
        ("tcp:h:0", "port '0' outside 1..65535"),
        ("tcp:h:65536", "port '65536' outside 1..65535"),
        ("tcp:h:", "port '' outside"),
        ("tcp:h:+1", "port '+1' outside"),
        ("tcp:h: 1", "port ' 1' outside"),
        ("tcp:h:\u0661", "outside 1..65535"),
        ("tcp:h:" + "9" * 5000, "outside 1..65535"),
        ("tcp:127.1:80", "no address in its canonical spelling"),
        ("tcp:0x7f000001:80", "neither a host name nor an address"),
        ("tcp:*:80", "neither a host name nor an address"),
        ("tcp::80", "neither a host name nor an address"),
        ("tcp:169.254.169.254:80", "in 169.254.0.0/16, which no backend may be in"),
        (r"tcp:fe80\:\:1:80", "in fe80::/10, which no backend may be in"),
        ("tls:100.100.100.200:80", "which no backend may be in"),
    ],
    ids=lambda text: text[:40],
)
def test_what_is_no_backend_says_what_to_write(text: str, advice: str) -> None:
    with pytest.raises(BadEndpoint) as caught:
        parse_target(text)

    assert advice in str(caught.value)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("irc.example.org:6667", "irc.example.org", 6667),
        ("IRC.example.org.:6667", "irc.example.org", 6667),
        ("10.0.0.1:80", "10.0.0.1", 80),
        ("[2001:db8::1]:80", "2001:db8::1", 80),
    ],
)
def test_a_host_and_a_port_are_exact(text: str, host: str, port: int) -> None:
    assert parse_host_port(text) == HostPort(host=host, port=port)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("*", "name each host and port, such as irc.example.org:6667"),
        ("*:6667", "name each host and port"),
        ("irc.example.org:*", "name each host and port"),
        ("*.example.org:6667", "name each host and port"),
        ("2001:db8::1:80", "write an IPv6 address in brackets"),
        ("irc.example.org", "is neither a host name nor an address"),
        ("irc.example.org:", "port '' outside 1..65535"),
        ("10.0.0.0/8:80", "is neither a host name nor an address"),
        ("[::1:80", "write an IPv6 address in brackets"),
        ("[]:80", "is neither a host name nor an address"),
        ("169.254.169.254:80", "which no backend may be in"),
        ("[::ffff:a9fe:a9fe]:80", "no"),
    ],
)
def test_what_names_no_one_port_says_what_to_write(text: str, advice: str) -> None:
    with pytest.raises(BadEndpoint) as caught:
        parse_host_port(text)

    assert advice in str(caught.value)


@given(st.text("tcplsunix:/\\a1.=", max_size=30) | st.text(max_size=20))
def test_every_text_is_a_backend_or_a_complaint(text: str) -> None:
    for parse in (parse_target, parse_host_port):
        with suppress(BadEndpoint):
            assert parse(text)
