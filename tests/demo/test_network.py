"""Does the embedded network keep nicks unique, and its tables bounded and clean?"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from sockproxy.demo import network as net


@dataclass(eq=False)
class Person:
    name: str = "*"
    username: str = "u"
    real_name: str = "r"
    away: str = ""
    signed_on_s: float = 0
    spoke_s: float = 0
    heard: list[str] = field(default_factory=list)

    @property
    def mask(self) -> str:
        return f"{self.name}!u@h"

    def tell(self, line: str) -> None:
        self.heard.append(line)


def named(network: net.Network, nick: str) -> Person:
    person = Person()
    assert network.claim(person, nick)
    person.name = nick
    return person


@pytest.fixture
def network() -> net.Network:
    return net.Network("irc.test", now_s=7)


def test_a_nick_has_one_owner_in_any_case(network: net.Network) -> None:
    ada = named(network, "Ada")
    assert not network.claim(Person(), "aDA")
    assert network.claim(ada, "ADA")
    assert network.member("ada") is ada
    assert list(network.members()) == [ada]


def test_a_left_nick_is_free_again(network: net.Network) -> None:
    ada = named(network, "ada")
    assert network.claim(ada, "lady")
    ada.name = "lady"
    assert network.claim(Person(), "ada")
    network.forget(ada)
    assert network.member("lady") is None


def test_an_empty_channel_is_gone_but_the_lobby_stays(network: net.Network) -> None:
    ada = named(network, "ada")
    for name in ("#room", net.LOBBY):
        assert network.enter(ada, name)
    assert [c.name for c in network.channels_of(ada)] == [net.LOBBY, "#room"]
    network.forget(ada)
    assert [c.name for c in network.channels()] == [net.LOBBY]


def test_channels_are_bounded(network: net.Network) -> None:
    ada = named(network, "ada")
    for number in range(net.CHANNELS - 1):
        assert network.enter(ada, f"#{number}")
    assert network.enter(ada, "#one-too-many") is None
    assert network.enter(ada, "#0")


def test_neighbours_are_told_once(network: net.Network) -> None:
    ada, bob = named(network, "ada"), named(network, "bob")
    for person in (ada, bob):
        network.enter(person, "#a")
        network.enter(person, "#b")
    assert list(network.neighbours(ada)) == [bob]
    channel = network.channel("#A")
    assert channel
    channel.tell("hello", but=ada)
    assert (ada.heard, bob.heard) == ([], ["hello"])


@pytest.mark.parametrize("nick", ["ada", "[x]^_`{|}-9", "a" * 30])
def test_a_valid_nick(nick: str) -> None:
    assert net.nick_is_valid(nick)


@pytest.mark.parametrize("nick", ["", "9a", "-a", "a b", "é", "a" * 31])
def test_an_invalid_nick(nick: str) -> None:
    assert not net.nick_is_valid(nick)


@pytest.mark.parametrize("name", ["#a", "#ünïcode", "##", "#" + "a" * 49])
def test_a_valid_channel_name(name: str) -> None:
    assert net.channel_is_valid(name)


@pytest.mark.parametrize("name", ["", "#", "a", "#a b", "#a,b", "#a\x07", "#" + "a" * 50])
def test_an_invalid_channel_name(name: str) -> None:
    assert not net.channel_is_valid(name)
