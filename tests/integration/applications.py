"""How does a test run the applications of docs/tickets.md, and the page they give to a browser?

The code is that of the page. What is here is what an application has besides: a login, which
`/enter` stands for, and the frame that its code is put into.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.integration import middleboxes, processes

DOCS = Path(__file__).parents[2] / "docs" / "tickets.md"
PAGE = Path(__file__).with_name("page.mjs")
PLACES = {"/etc/sockproxy": "gateway", "/etc/shop": "keys"}
TICKETS = "/sockproxy-ticket"
TIMEOUT_S = 30
USER_ID = 42

FLASK = f"""\
from flask import Flask, session
from shop.routes import sockproxy

app = Flask(__name__)
app.secret_key = "of the test"
app.register_blueprint(sockproxy)

@app.get("/enter")
def enter():
    session["user_id"] = {USER_ID}
    return ""
"""

DJANGO = """\
SECRET_KEY = "of the test"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "shop.urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "shop.db"}}
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates"}]
"""

DJANGO_URLS = f"""\
from django.contrib.auth import login
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.template import engines
from django.urls import path
from shop.views import sockproxy_ticket

def page(request):
    return HttpResponse(engines["django"].from_string("{{% csrf_token %}}").render({{}}, request))

def enter(request):
    login(request, User.objects.get_or_create(pk={USER_ID}, username="ada")[0])
    return page(request)

urlpatterns = [
    path("page", page),
    path("enter", enter),
    path("sockproxy-ticket", sockproxy_ticket),
]
"""

NODE_LOGIN = f"""\
export async function userOf({{ headers: {{ cookie }} }}) {{
  if (cookie === 'sid=broken') throw new Error('the store of sessions is away');
  return cookie === 'sid=s3' ? {USER_ID} : undefined;
}}
"""


@dataclass(frozen=True, slots=True)
class Docs:
    """The blocks of the page, with their keys in a folder of the test."""

    folder: Path

    def block(self, language: str, having: str = "") -> str:
        found = textwrap.dedent(middleboxes.snippet(DOCS, language, having))
        for place, name in PLACES.items():
            (self.folder / name).mkdir(exist_ok=True)
            found = found.replace(place, str(self.folder / name))
        return found

    def shell(self, having: str) -> str:
        """Run a block and return what it printed; the first line that fails fails it."""
        path = f"{processes.BIN}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["sh", "-e", "-c", self.block("sh", having)],
            cwd=self.folder,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def changed(self, text: str, having: str) -> str:
        """Return an example after one of the page's diffs."""
        hunks = re.findall(r"((?:^-.*\n)+)((?:^\+.*\n)+)", self.block("diff", having), re.MULTILINE)
        assert hunks
        for hunk in hunks:
            old, new = (re.sub(r"^[-+]", "", lines, flags=re.MULTILINE) for lines in hunk)
            assert text.count(old) == 1
            text = text.replace(old, new)
        return text

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            file = self.folder / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)


@dataclass(frozen=True, slots=True)
class Application:
    """One that runs; its user's browser has a cookie and, from its page, a token."""

    origin: str
    cookie: str = ""
    token: str = ""

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, Message, str]:
        """Return status, headers and body."""
        connection = HTTPConnection(urlsplit(self.origin).netloc, timeout=TIMEOUT_S)
        try:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, headers=sent)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()

    def ticket(self, **headers: str) -> tuple[int, Message, str]:
        """Ask for a ticket, as a page of its own does, or of the origin that is given."""
        token = {"X_CSRFToken": self.token} if self.token else {}
        said = {"Cookie": self.cookie, "Origin": self.origin, **token, **headers}
        return self.ask(TICKETS, "POST", **said)

    def visited(self, path: str) -> Application:
        """Return it as a browser sees it that has been to a page."""
        status, headers, body = self.ask(path)
        assert status == 200, body
        cookies = [line.partition(";")[0] for line in headers.get_all("Set-Cookie", [])]
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', body)
        return Application(self.origin, "; ".join(cookies), token[1] if token else "")


@contextmanager
def flask(docs: Docs) -> Iterator[tuple[Application, Application]]:
    """Run the Flask application; give it as nobody and as its user sees it."""
    port = processes.free_port()
    docs.write({"shop/__init__.py": "", "shop/app.py": FLASK})
    run = ("-m", "flask", "--app", "shop.app", "run", "--port", str(port))
    with processes.listening(docs.folder, port, str(processes.BIN / "python"), *run):
        there = Application(f"http://127.0.0.1:{port}")
        yield there, there.visited("/enter")


def python_parts(docs: Docs, *, pair: bool) -> Mapping[str, str]:
    """Return the modules of the page, that of the framework by its name."""
    tickets = docs.block("python", "def ticket_for")
    return {
        "shop/tickets.py": docs.changed(tickets, "jwt.encode") if pair else tickets,
        "shop/routes.py": docs.block("python", "@sockproxy.post"),
        "shop/views.py": docs.block("python", "@require_POST"),
    }


@contextmanager
def flask_with_tickets(docs: Docs, *, pair: bool) -> Iterator[tuple[Application, Application]]:
    docs.write(python_parts(docs, pair=pair))
    with flask(docs) as both:
        yield both


@contextmanager
def django_with_tickets(docs: Docs, *, pair: bool) -> Iterator[tuple[Application, Application]]:
    port, python = processes.free_port(), str(processes.BIN / "python")
    docs.write(
        {
            "shop/__init__.py": "",
            "shop/settings.py": DJANGO,
            "shop/urls.py": DJANGO_URLS,
            **python_parts(docs, pair=pair),
        }
    )
    django = (python, "-m", "django")
    options = ("--settings=shop.settings", f"--pythonpath={docs.folder}")
    subprocess.run(
        [*django, "migrate", "--verbosity=0", *options], cwd=docs.folder, timeout=60, check=True
    )
    run = (*django, "runserver", "--noreload", f"127.0.0.1:{port}", *options)
    with processes.listening(docs.folder, port, *run):
        there = Application(f"http://127.0.0.1:{port}")
        yield there.visited("/page"), there.visited("/enter")


@contextmanager
def node_with_tickets(docs: Docs, *, pair: bool) -> Iterator[tuple[Application, Application]]:
    port = processes.free_port()
    example = docs.block("js", "createServer")
    if pair:
        example = docs.changed(example, "createPrivateKey")
    assert ".listen(3000," in example
    docs.write(
        {
            "shop/login.mjs": NODE_LOGIN,
            "shop/server.mjs": example.replace(".listen(3000,", f".listen({port},"),
        }
    )
    with processes.listening(docs.folder, port, "node", "shop/server.mjs"):
        there = Application(f"http://127.0.0.1:{port}")
        yield there, Application(there.origin, "sid=s3")


def page(snippet: str, gateway: processes.Server, seen: Application, **more: str) -> Any:
    """Run lines of a page in Node, as a page of the application, and return what came of it."""
    node = shutil.which("node")
    assert node, "node is not installed"
    options = {
        "snippet": snippet,
        "gateway": f"http://127.0.0.1:{gateway.port}/",
        "application": seen.origin,
        "cookie": seen.cookie,
        "token": seen.token,
        **more,
    }
    done = subprocess.run(
        [node, str(PAGE), json.dumps(options)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
