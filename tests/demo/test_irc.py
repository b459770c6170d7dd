"""Does the embedded IRC server please ordinary clients and survive the others?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from sockproxy.demo import network as net
from sockproxy.demo.connection import OUTBOX_BYTES, IrcConnection
from sockproxy.demo.irc import COMMANDS, IrcFactory


class Client:
    """One client of the server, in memory: `said` returns what came since it was asked last."""

    def __init__(self, factory: IrcFactory) -> None:
        connection = factory.buildProtocol(None)
        assert connection is not None
        self.connection: IrcConnection = connection
        self.transport = StringTransport()
        self.connection.makeConnection(self.transport)

    def say(self, *lines: str) -> list[str]:
        for line in lines:
            self.connection.dataReceived(line.encode() + b"\r\n")
        return self.said()

    def said(self) -> list[str]:
        lines: list[str] = self.transport.value().decode().split("\r\n")[:-1]
        self.transport.clear()
        return lines

    def numerics(self, *lines: str) -> list[str]:
        return [line.split(" ")[1] for line in self.say(*lines)]

    def register(self, nick: str) -> list[str]:
        return self.say(f"NICK {nick}", f"USER {nick} 0 * :{nick} of the tests")


@pytest.fixture
def factory() -> IrcFactory:
    return IrcFactory(Clock())


@pytest.fixture
def ada(factory: IrcFactory) -> Client:
    client = Client(factory)
    client.register("ada")
    return client


@pytest.fixture
def bob(factory: IrcFactory) -> Client:
    client = Client(factory)
    client.register("bob")
    return client


def test_no_password_is_wanted_and_001_comes_first(factory: IrcFactory) -> None:
    lines = Client(factory).register("ada")
    assert lines[0] == (
        ":irc.sockproxy.demo 001 ada :Welcome to the sockproxy demo, ada!ada@sockproxy.demo"
    )
    assert [line.split(" ")[1] for line in lines[1:5]] == ["002", "003", "004", "005"]
    assert lines[-1].split(" ")[1] == "376"


def test_capabilities_hold_the_welcome_back(factory: IrcFactory) -> None:
    client = Client(factory)
    assert client.say("CAP LS 302") == [":irc.sockproxy.demo CAP * LS :"]
    assert client.register("ada") == []
    assert client.say("CAP REQ :sasl") == [":irc.sockproxy.demo CAP ada NAK :sasl"]
    assert client.say("CAP LIST") == [":irc.sockproxy.demo CAP ada LIST :"]
    assert client.numerics("CAP WHAT") == ["410"]
    assert client.numerics("CAP END")[0] == "001"


def test_a_nick_in_use_is_refused_and_another_works(factory: IrcFactory, ada: Client) -> None:
    second = Client(factory)
    assert second.register("ADA") == [":irc.sockproxy.demo 433 * ADA :Nickname is already in use"]
    assert second.numerics("NICK ada_")[0] == "001"


def test_a_new_nick_is_announced_to_the_channel_once(ada: Client, bob: Client) -> None:
    for client in (ada, bob):
        client.say("JOIN #a,#b")
    ada.said()
    line = ":ada!ada@sockproxy.demo NICK :lady"
    assert ada.say("NICK lady") == [line]
    assert bob.said() == [line]
    assert bob.say("PRIVMSG lady :hello") == []
    assert ada.said() == [":bob!bob@sockproxy.demo PRIVMSG lady :hello"]


@pytest.mark.parametrize(
    ("line", "numeric"),
    [
        ("NICK", "431"),
        ("NICK 1ab", "432"),
        ("USER a b c d", "462"),
        ("BOGUS", "421"),
        ("JOIN", "461"),
        ("JOIN nothash", "403"),
        ("PART #nowhere", "403"),
        ("PART #sockproxy", "442"),
        ("TOPIC #sockproxy :mine", "442"),
        ("PRIVMSG nobody :hi", "401"),
        ("PRIVMSG #sockproxy :hi", "404"),
        ("PRIVMSG a,b,c,d,e :hi", "407"),
        ("MODE #nowhere", "403"),
        ("MODE nobody", "502"),
        ("MODE #sockproxy +o ada", "482"),
    ],
)
def test_a_mistake_gets_its_numeric(ada: Client, line: str, numeric: str) -> None:
    assert ada.numerics(line) == [numeric]


def test_nothing_but_registration_works_before_it(factory: IrcFactory) -> None:
    client = Client(factory)
    assert client.numerics("JOIN #sockproxy") == ["451"]
    assert client.say("PING :x") == [":irc.sockproxy.demo PONG irc.sockproxy.demo :x"]


def test_joining_shows_topic_and_names_and_is_announced(ada: Client, bob: Client) -> None:
    ada.say("JOIN #sockproxy")
    assert bob.numerics("JOIN #sockproxy") == ["JOIN", "332", "333", "353", "366"]
    assert ada.said() == [":bob!bob@sockproxy.demo JOIN #sockproxy"]
    assert ada.say("NAMES #sockproxy")[0].endswith("353 ada = #sockproxy :ada bob")
    assert ada.say("JOIN #sockproxy") == []


def test_words_reach_the_others_but_not_the_speaker(ada: Client, bob: Client) -> None:
    for client in (ada, bob):
        client.say("JOIN #a")
    ada.said()
    assert ada.say("PRIVMSG #a,bob :hi", "NOTICE #a :note") == []
    assert bob.said() == [
        ":ada!ada@sockproxy.demo PRIVMSG #a :hi",
        ":ada!ada@sockproxy.demo PRIVMSG bob :hi",
        ":ada!ada@sockproxy.demo NOTICE #a :note",
    ]


def test_a_notice_that_misses_is_never_answered(ada: Client) -> None:
    assert ada.say("NOTICE nobody :hi", "NOTICE #sockproxy :hi") == []


def test_a_topic_is_set_shown_and_cleared(ada: Client) -> None:
    ada.say("JOIN #a")
    assert ada.numerics("TOPIC #a") == ["331"]
    assert ada.say("TOPIC #a :tea") == [":ada!ada@sockproxy.demo TOPIC #a :tea"]
    assert ada.numerics("TOPIC #a") == ["332", "333"]
    ada.say("TOPIC #a :")
    assert ada.numerics("TOPIC #a") == ["331"]


def test_leaving_is_announced(ada: Client, bob: Client) -> None:
    for client in (ada, bob):
        client.say("JOIN #a,#b")
    ada.said()
    assert ada.say("PART #a :bye")[0] == ":ada!ada@sockproxy.demo PART #a :bye"
    assert ada.say("JOIN 0")[0] == ":ada!ada@sockproxy.demo PART #b :leaving"
    assert len(bob.said()) == 2


def test_quitting_closes_and_is_announced_once(
    factory: IrcFactory, ada: Client, bob: Client
) -> None:
    for client in (ada, bob):
        client.say("JOIN #a,#b")
    assert ada.say("QUIT :tea time", "PING :late")[-1] == "ERROR :Closing link: tea time"
    assert ada.transport.disconnecting
    ada.connection.connectionLost()
    assert bob.said() == [":ada!ada@sockproxy.demo QUIT :Quit: tea time"]
    assert factory.network.connections == 1


def test_a_lost_connection_is_a_quit(ada: Client, bob: Client) -> None:
    for client in (ada, bob):
        client.say("JOIN #a")
    ada.connection.connectionLost()
    assert bob.said() == [":ada!ada@sockproxy.demo QUIT :Connection closed"]


def test_away_is_told_to_who_writes(ada: Client, bob: Client) -> None:
    assert bob.numerics("AWAY :gone") == ["306"]
    assert ada.numerics("PRIVMSG bob :hi") == ["301"]
    assert bob.numerics("AWAY")[-1] == "305"


@pytest.mark.parametrize(
    ("line", "numerics"),
    [
        ("MODE #sockproxy", ["324", "329"]),
        ("MODE #sockproxy b", ["368"]),
        ("MODE ada", ["221"]),
        ("MODE ada +i", []),
        ("WHO #sockproxy", ["352", "315"]),
        ("WHO ada", ["352", "315"]),
        ("WHO", ["315"]),
        ("WHOIS ada", ["311", "319", "312", "317", "318"]),
        ("WHOIS nobody", ["401", "318"]),
        ("WHOWAS x", ["406", "369"]),
        ("USERHOST ada", ["302"]),
        ("ISON ada bob", ["303"]),
        ("LIST", ["321", "322", "323"]),
        ("NAMES", ["353", "366"]),
        ("LUSERS", ["251"]),
        ("VERSION", ["351"]),
        ("TIME", ["391"]),
        ("PASS x", []),
        ("PONG x", []),
    ],
)
def test_what_clients_ask_by_themselves_is_answered(
    ada: Client, line: str, numerics: list[str]
) -> None:
    ada.say("JOIN #sockproxy")
    assert ada.numerics(line) == numerics


def test_a_member_can_be_in_a_bounded_number_of_channels(ada: Client) -> None:
    for number in range(net.CHANNELS_PER_MEMBER):
        ada.say(f"JOIN #{number}")
    assert ada.numerics("JOIN #more") == ["405"]


def test_the_house_can_be_full(factory: IrcFactory) -> None:
    clients = [Client(factory) for _ in range(net.CONNECTIONS)]
    assert factory.buildProtocol(None) is None
    clients[0].connection.connectionLost()
    assert factory.buildProtocol(None) is not None


def test_who_does_not_read_is_dropped(ada: Client, bob: Client) -> None:
    for client in (ada, bob):
        client.say("JOIN #a")
    ada.connection.pauseProducing()
    line = "PRIVMSG #a :" + "x" * 400
    for _ in range(OUTBOX_BYTES // 400):
        bob.say(line)
    assert ada.transport.disconnected or ada.transport.disconnecting
    ada.connection.connectionLost()
    assert bob.said() == [":ada!ada@sockproxy.demo QUIT :Send queue exceeded"]


def test_who_reads_again_starts_afresh(ada: Client, bob: Client) -> None:
    for _ in range(OUTBOX_BYTES // 100_000 + 1):
        ada.connection.pauseProducing()
        for _ in range(200):
            bob.say("PRIVMSG ada :" + "x" * 400)
        ada.connection.resumeProducing()
    assert not ada.transport.disconnecting
    assert bob.say("PRIVMSG ada :still there?") == []


LINES = st.builds(
    lambda verb, params: " ".join([verb, *params]).encode(),
    st.sampled_from([*COMMANDS, "BOGUS", "", ":x"]),
    st.lists(
        st.sampled_from(["#a", "#sockproxy", "ada", "bob", ":", ":x y", "0", "*", ","]) | st.text()
    ),
)


@given(st.lists(LINES | st.binary(max_size=600)), st.integers(1, 40))
def test_nothing_a_client_sends_raises(lines: list[bytes], step: int) -> None:
    factory = IrcFactory(Clock())
    friend, fiend = Client(factory), Client(factory)
    friend.register("bob")
    friend.say("JOIN #a,#sockproxy")
    fiend.register("ada")
    stream = b"\r\n".join(lines)
    for start in range(0, len(stream), step):
        fiend.connection.dataReceived(stream[start : start + step])
    sent = fiend.transport.value() + friend.transport.value()
    assert all(len(line) <= 512 for line in sent.splitlines(keepends=True))
    fiend.connection.connectionLost()
    assert friend.numerics("PING :alive")[-1] == "PONG"
