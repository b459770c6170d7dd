"""Does twistd know us? Imports nothing else: what fails here is only 'unknown command'."""

from twisted.application.service import ServiceMaker

sockproxy = ServiceMaker("sockproxy", "sockproxy.tap", "TCP sockets for web pages.", "sockproxy")
