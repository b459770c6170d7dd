"""Where does each section and key of a file stand?"""

from __future__ import annotations

import configparser

COMMENTS = ("#", ";")


class Lines:
    """Where the sections and keys of one text stand, and which lines are wrong in themselves.

    configparser does not tell where, and would stop at the first that stands twice. So
    lines are told apart here by its own rules, and it is left to read the values; where a
    key stands twice, the later one counts.
    """

    def __init__(self, text: str) -> None:
        self.first_section = 0
        self.torn: set[str] = set()
        self.faults: list[tuple[int, str, str, str]] = []
        self.headers: list[tuple[int, str]] = []
        self._at: dict[tuple[str, str], int] = {}
        self._section = self._key = ""
        self._keys: set[str] = set()
        self._text = text.split("\n")
        indent = 0
        for number, line in enumerate(self._text, 1):
            content = line.strip()
            depth = line.find(content)
            goes_on = self._key and depth > indent
            if content and not content.startswith(COMMENTS) and not goes_on:
                indent = depth
                self._note(number, content)

    def of(self, section: str, key: str = "") -> int:
        return self._at.get((section, key)) or self._at.get((section, "")) or 1

    def item(self, section: str, key: str, item: str) -> int:
        """Return where an item of a list stands: its first line at or behind the key."""
        first = self.of(section, key)
        for number, line in enumerate(self._text[first - 1 :] if item else (), first):
            if line.strip() == item or line.partition("=")[2].strip() == item:
                return number
        return first

    def _note(self, number: int, content: str) -> None:
        header = configparser.ConfigParser.SECTCRE.match(content)
        option = configparser.ConfigParser.OPTCRE.match(content)
        if header:
            self._header(number, header["header"])
        elif not self.first_section:
            if not self.faults:
                self._fault(number, "stands before the first [section]")
        elif option and option["option"]:
            self._option(number, option["option"])
        else:
            self._key = "" if option else self._key
            self.torn.add(self._section)
            self._fault(number, f"{content!r} is no `key = value`")

    def _header(self, number: int, section: str) -> None:
        self.first_section = self.first_section or number
        self._section, self._key, self._keys = section, "", set()
        self.headers.append((number, section))
        self._at.setdefault((section, ""), number)

    def _option(self, number: int, key: str) -> None:
        self._key = key
        if key in self._keys:
            self._fault(number, "the key stands twice", key)
        self._keys.add(key)
        self._at[self._section, key] = number

    def _fault(self, number: int, text: str, key: str = "") -> None:
        self.faults.append((number, self._section, key, text))
