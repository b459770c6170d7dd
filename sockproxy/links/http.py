"""How do HTTP requests carry a session?

A run of POSTs is one link: the first DOWN begins with HELLO and attaches, the next ones go
on with it, and what the page says comes in UPs. All requests carry the session's id and
secret in their bodies and an Origin in their heads, which is checked each time: no cookie,
no header of ours, so no preflight and nothing in a log. What a request means is the
session's business, who may attach the hub's.
"""

from __future__ import annotations

from twisted.web import http
from twisted.web.http import Request
from twisted.web.server import NOT_DONE_YET

from sockproxy import place
from sockproxy.codes import Code, HelloTlv, Mode
from sockproxy.core import frames
from sockproxy.core.errors import PeerError
from sockproxy.front import Visitor, visitor
from sockproxy.head import BadHead
from sockproxy.hub import Hub
from sockproxy.links import hello
from sockproxy.links.answers import Answer, Poll, Stream
from sockproxy.links.lag import Lag
from sockproxy.live import LiveSession
from sockproxy.logs import Logger
from sockproxy.place import Place
from sockproxy.refused import Refused


class HttpLink:
    """A link over HTTP: the holder of at most one answer, the link of a session."""

    def __init__(self) -> None:
        self.live: LiveSession | None = None
        # The numbers of the newest requests.
        self.downs = 1
        self.ups = 0
        self._answer: Answer | None = None

    def hold(self, answer: Answer) -> None:
        """Speak on this answer from here on; an older one ends, which is no loss."""
        older, self._answer = self._answer, answer
        if older is not None:
            older.finish(frames.encode(frames.End(Code.SUPERSEDED, "a newer DOWN came")))

    def heard(self, *, proved: bool) -> None:
        """The page has said an UP; `proved` where a PONG was in it."""
        if self._answer is None:
            return
        if proved:
            self._answer.proved()
        else:
            self._answer.acknowledged()

    # As the holder of an answer.

    def drained(self) -> None:
        if self.live is not None:
            self.live.flush()

    def answered(self, answer: Answer) -> None:
        if answer is not self._answer:
            return
        self._answer = None
        if self.live is not None:
            self.live.lost(self)

    # As the link of a session.

    @property
    def writable(self) -> bool:
        return self._answer is not None and self._answer.writable

    def send(self, data: bytes) -> None:
        if self._answer is not None:
            self._answer.send(data)

    def end(self, code: Code, text: str) -> None:
        self._say_last(frames.encode(frames.End(code, frames.clip(text))))

    def bye(self, code: Code, text: str) -> None:
        self._say_last(frames.encode(frames.Bye(code, frames.clip(text))))

    def abort(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.abort()

    def tick(self, now: float) -> None:
        if self._answer is not None:
            self._answer.tick(now)

    def _say_last(self, frame: bytes) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.finish(frame)


class Requests(Place):
    """What `Up` and `Down` have in common: who may ask, and how a no looks."""

    log = Logger()

    def __init__(self, hub: Hub) -> None:
        super().__init__()
        self._hub = hub

    def render_POST(self, request: Request) -> bytes | int:
        try:
            visited = visitor(request)
        except BadHead as bad:
            return _plain(request, bad.status, bad.text)
        policy = self._hub.shared.policy
        if not policy.origin_known(visited.origin):
            hint = policy.origin_hint(visited.origin)
            self.log.info(
                "refused {origin} from {peer}: {hint}",
                origin=visited.origin,
                peer=visited.peer,
                hint=hint,
            )
            # A page sees no status of another origin; it is to see why, as on a WebSocket.
            request.setResponseCode(http.FORBIDDEN)
            _open_to(request, visited)
            return hello.refusal(Refused(Code.ORIGIN, hint))
        _open_to(request, visited)
        # A page that leaves sends a beacon: it reads no answer, and its console would tell.
        request.setHeader(b"Cross-Origin-Resource-Policy", b"cross-origin")
        if self._hub.shared.auth.takes_cookies:
            request.setHeader(b"Access-Control-Allow-Credentials", b"true")
        assert request.content is not None
        try:
            return self.answer(request, visited, *hello.cut(request.content.read()))
        except Refused as refused:
            hello.note(refused, visited)
            return hello.refusal(refused)

    def answer(
        self, request: Request, visited: Visitor, said: frames.Hello, rest: bytes
    ) -> bytes | int:
        """Answer a request that begins with HELLO. Raises `Refused`."""
        raise NotImplementedError

    def _find(self, said: frames.Hello, visited: Visitor) -> tuple[LiveSession, HttpLink]:
        live = self._hub.find(said, visited.asker())
        visited.entry.served()
        link = live.joined
        if not isinstance(link, HttpLink):
            raise Refused(Code.STALE_LINK, f"link {said.link} does not take requests")
        return live, link


class Down(Requests):
    """`/sp/<route>/down`: the way to the page; its first request attaches."""

    def answer(
        self, request: Request, visited: Visitor, said: frames.Hello, rest: bytes
    ) -> bytes | int:
        if said.request > 1:
            return self._go_on(request, visited, said)
        mode = _mode(said)
        return place.answer_later(request, self._enter(request, visited, said, rest, mode))

    async def _enter(
        self, request: Request, visited: Visitor, said: frames.Hello, rest: bytes, mode: int
    ) -> None:
        """Attach when it is known who asks."""
        link, shown = HttpLink(), hello.shown(said, visited)
        try:
            auth = self._hub.shared.auth
            asker = await auth.identify(visited.asker(), shown, said.sid)
            link.live = live = self._hub.attach(said, link, asker, shown)
        except Refused as refused:
            hello.note(refused, visited)
            place.answer(request, hello.refusal(refused))
            return
        answer = self._make(request, mode, link, live)
        link.hold(answer)
        visited.entry.served()
        live.flush()
        if rest:
            link.send(live.posted(0, rest))
        answer.greeted()

    def _go_on(self, request: Request, visited: Visitor, said: frames.Hello) -> bytes | int:
        live, link = self._find(said, visited)
        if said.request <= link.downs:
            return frames.encode(frames.End(Code.SUPERSEDED, f"DOWN {link.downs} came before"))
        answer = self._make(request, _mode(said), link, live)
        link.downs = said.request
        link.hold(answer)
        answer.begin(frames.encode(frames.At(said.rx)))
        self._hub.go_on(live, link, said)
        return NOT_DONE_YET

    def _make(self, request: Request, mode: int, link: HttpLink, live: LiveSession) -> Answer:
        clock = self._hub.shared.clock
        if mode == Mode.STREAM:
            return Stream(request, clock, link, Lag(live.core))
        return Poll(request, clock, link, brief=mode == Mode.BRIEF)


class Up(Requests):
    """`/sp/<route>/up`: the way from the page."""

    def answer(
        self, request: Request, visited: Visitor, said: frames.Hello, rest: bytes
    ) -> bytes | int:
        request.setHeader(b"Content-Type", b"application/octet-stream")
        if rest and rest[0] == frames.TYPE_OF[frames.Bye]:
            self._hub.dismiss(said, visited.asker())
            return frames.encode(frames.Ack(0))
        live, link = self._find(said, visited)
        if said.request <= link.ups:
            return frames.encode(frames.Ack(live.core.rx))
        link.ups = said.request
        pongs = live.core.pongs
        answer = live.posted(said.rx, rest)
        link.heard(proved=live.core.pongs > pongs)
        return answer


def _mode(said: frames.Hello) -> int:
    try:
        return frames.tlv_int(said.tlvs, HelloTlv.MODE, Mode.POLL)
    except PeerError as error:
        raise Refused(error.code, error.text) from None


def _open_to(request: Request, visited: Visitor) -> None:
    """Let the page that asks read the answer, and nobody keep or change it."""
    if visited.origin is not None:
        request.setHeader(b"Access-Control-Allow-Origin", visited.origin.encode("ascii"))
    request.setHeader(b"Vary", b"Origin")
    request.setHeader(b"Content-Type", b"application/octet-stream")
    request.setHeader(b"Cache-Control", b"no-store, no-transform")
    request.setHeader(b"X-Accel-Buffering", b"no")
    request.setHeader(b"X-Content-Type-Options", b"nosniff")


def _plain(request: Request, status: int, text: str) -> bytes:
    request.setResponseCode(status)
    request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
    request.setHeader(b"Cache-Control", b"no-store")
    request.setHeader(b"X-Content-Type-Options", b"nosniff")
    request.setHeader(b"Vary", b"Origin")
    return text.encode() + b"\n"
