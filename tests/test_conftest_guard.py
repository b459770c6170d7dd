"""Does the guard around every test bite, and only where it should?"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

pytest_plugins = ("pytester",)

IMPORTS = """
import os, socket
from twisted.internet import reactor
from twisted.internet.defer import fail
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python import log
from twisted.python.failure import Failure

kept = []
lost = ValueError("lost byte")

def port():
    return reactor.listenTCP(0, Factory(), interface="127.0.0.1")
"""

HARMLESS = {
    "nothing": "pass",
    "an_expected_error": "log.err(lost); assert logged_errors.flush(ValueError)",
    "a_warning": "Logger().warn('mind the gap')",
    "a_cancelled_call": "reactor.callLater(9, print).cancel()",
    "a_stopped_port": "port().stopListening()",
    "a_closed_socket": "socket.socket().close()",
    "a_socket_in_a_cycle": "cycle = [socket.socket()]; cycle.append(cycle)",
    "an_open_file": "kept.append(open(os.devnull))",
}

FAULTS = {
    "a_legacy_error": ("log.err(lost)", "lost byte"),
    "a_failure": ("Logger().failure('', Failure(lost))", "lost byte"),
    "an_error_in_words": ("log.msg('lost byte', isError=True)", "lost byte"),
    "another_error": ("log.err(lost); logged_errors.flush(KeyError)", "lost byte"),
    "an_unheard_deferred": ("fail(lost)", "lost byte"),
    "a_deferred_in_a_cycle": ("never = fail(lost); never.itself = never", "lost byte"),
    "a_delayed_call": ("reactor.callLater(99, print)", "delayed call"),
    "a_port": ("kept.append(port())", "in the reactor"),
    "a_socket": ("kept.append(socket.socket())", "descriptor"),
}


def complaints(pytester: pytest.Pytester, statements: dict[str, str]) -> dict[str, str]:
    """Run each statement as a test under our conftest; return what the guard said of it."""
    pytester.makeconftest((Path(__file__).parent / "conftest.py").read_text())
    tests = (f"def test_{name}(logged_errors):\n    {body}\n" for name, body in statements.items())
    pytester.makepyfile(IMPORTS + "\n".join(tests))
    pytester.runpytest_subprocess("--junitxml=report.xml", "-p", "no:cacheprovider")
    report = ElementTree.parse(pytester.path / "report.xml")
    return {
        case.attrib["name"].removeprefix("test_"): "\n".join(
            f"{child.tag}: {child.text}" for child in case
        )
        for case in report.iter("testcase")
    }


def test_it_lets_pass_what_cleans_up(pytester: pytest.Pytester) -> None:
    assert complaints(pytester, HARMLESS) == dict.fromkeys(HARMLESS, "")


def test_it_fails_on_everything_left_behind(pytester: pytest.Pytester) -> None:
    said = complaints(pytester, {name: statement for name, (statement, _) in FAULTS.items()})

    assert list(said) == list(FAULTS)
    for name, (_, word) in FAULTS.items():
        assert said[name].startswith("error: "), name
        assert word in said[name], name
