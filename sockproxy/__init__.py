"""Which release is this? TCP sockets for web pages."""

__version__ = "0.1.0"
