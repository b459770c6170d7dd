"""How does a test put a real nginx or HAProxy in front of the service?

The settings are those of the docs: the fenced block is read out of the page, gets the ports of
the test, and the daemon's own check is asked before it is started.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration import processes

DOCS = Path(__file__).parents[2] / "docs" / "middleboxes.md"
README = Path(__file__).parents[2] / "README.md"
SERVICE = "127.0.0.1:8080"

NGINX = """\
{user}
daemon off;
pid nginx.pid;
error_log stderr notice;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {{
        listen 127.0.0.1:{port};
        {location}
    }}
}}
"""

HAPROXY = """\
global
    maxconn 1000
defaults
    mode http
    timeout client 75s
{sections}
"""


def snippet(file: Path, language: str, having: str = "") -> str:
    """Return the first block of this language on a page that has some words in it."""
    for found in re.findall(rf"```{language}\n(.*?)```", file.read_text(), re.DOTALL):
        if having in found:
            return str(found)
    raise AssertionError(f"{file.name} has no {language} block with {having!r}")


@contextmanager
def nginx(folder: Path, location: str, server: processes.Server) -> Iterator[processes.Server]:
    """Run nginx with a location of the docs in front of `server`."""
    assert SERVICE in location
    port = processes.free_port()
    location = location.replace(SERVICE, f"127.0.0.1:{server.port}")
    file = folder / "nginx.conf"
    # As root nginx would give up its rights, and could not write into the test's folder.
    user = "user root;" if os.geteuid() == 0 else ""
    file.write_text(NGINX.format(user=user, port=port, location=location))
    command = ("nginx", "-p", str(folder), "-c", str(file))
    check(*command, "-t")
    with processes.listening(folder, port, *command) as box:
        yield box


@contextmanager
def haproxy(folder: Path, sections: str, server: processes.Server) -> Iterator[processes.Server]:
    """Run HAProxy with the sections of the docs in front of `server`."""
    assert SERVICE in sections
    port = processes.free_port()
    sections = sections.replace(SERVICE, f"127.0.0.1:{server.port}")
    sections = re.sub(r"bind .*", f"bind 127.0.0.1:{port}", sections)
    file = folder / "haproxy.cfg"
    file.write_text(HAPROXY.format(sections=sections))
    check("haproxy", "-c", "-f", str(file))
    with processes.listening(folder, port, "haproxy", "-db", "-f", str(file)) as box:
        yield box


def check(*command: str) -> None:
    """Let the daemon say whether it would start."""
    program = shutil.which(command[0], path="/usr/sbin:/usr/bin:/sbin:/bin")
    assert program, f"{command[0]} is not installed"
    done = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
