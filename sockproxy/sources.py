"""What do proxy.ini and the files that it includes say, and where does it stand?

They are read as one, so that a section may stand in any of them, but only once: no file can
change what another one says. An included file includes none, so that the first file names all
that count.
"""

from __future__ import annotations

import configparser
import glob
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from sockproxy import rights
from sockproxy.lines import COMMENTS, Lines

INCLUDE = ("sockproxy", "include")

Sections = Mapping[str, Mapping[str, str]]


class BadFile(Exception):
    """A file cannot be read, or must not be believed."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a file."""

    file: str
    line: int
    section: str
    key: str
    text: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        section = f" [{self.section}]" if self.section else ""
        key = f" {self.key}" if self.key else ""
        return f"{place}:{section}{key}{':' if section else ''} {self.text}"


class Source:
    """One file."""

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.lines = Lines(text)
        parser = configparser.ConfigParser(
            interpolation=None, default_section="\0", comment_prefixes=COMMENTS, strict=False
        )
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        sections = text.split("\n")[max(0, self.lines.first_section - 1) :]
        with suppress(configparser.ParsingError):  # told already: the faults of the lines
            parser.read_string("\n".join(sections))
        self.sections: Sections = {
            section: {key: text for key, text in parser.items(section) if key}
            for section in parser.sections()
        }

    @property
    def include(self) -> str:
        section, key = INCLUDE
        return self.sections.get(section, {}).get(key, "")

    def problem(self, line: int, section: str, key: str, text: str) -> Problem:
        return Problem(self.file, line, section, key, text)


class Sources:
    """A first file and those that it includes; `problems` says what is wrong with any."""

    def __init__(self, text: str, file: str) -> None:
        self.problems: list[Problem] = []
        self.sections: dict[str, Mapping[str, str]] = {}
        self._homes: dict[str, Source] = {}
        self._first = Source(text, file)
        self._all: list[Source] = []
        self._take(self._first)
        for source in self._included():
            self._take(source)
            self._refuse_nesting(source)

    @property
    def files(self) -> list[str]:
        return [source.file for source in self._all]

    def problem(self, section: str, key: str, text: str) -> Problem:
        """Say something about an option, or a section, where it stands or would."""
        home = self._homes.get(section, self._first)
        return home.problem(home.lines.of(section, key), section, key, text)

    def place(self, section: str, key: str, item: str) -> str:
        """Return the file and line of an item of a list."""
        home = self._homes.get(section, self._first)
        return f"{home.file}:{home.lines.item(section, key, item)}"

    def torn(self, section: str) -> bool:
        """Return whether a section has lines that could not be read."""
        return section in self._homes.get(section, self._first).lines.torn

    def order(self, problem: Problem) -> tuple[int, int]:
        """Sort problems as the lines stand."""
        return self.files.index(problem.file), problem.line

    def _take(self, source: Source) -> None:
        self._all.append(source)
        self.problems += [source.problem(*fault) for fault in source.lines.faults]
        for line, section in source.lines.headers:
            home = self._homes.setdefault(section, source)
            first = home.lines.of(section)
            if (home, first) != (source, line):
                text = f"the section stands twice, first at {home.file}:{first}"
                self.problems.append(source.problem(line, section, "", text))
        for section, options in source.sections.items():
            self.sections.setdefault(section, options)

    def _included(self) -> Iterator[Source]:
        seen = {os.path.realpath(self._first.file)}
        for line, file, is_found in self._named():
            if os.path.realpath(file) in seen:
                continue
            seen.add(os.path.realpath(file))
            try:
                yield Source(read_text(file, is_found=is_found), file)
            except BadFile as bad:
                self.problems.append(self._first.problem(line, *INCLUDE, f"{file}: {bad}"))

    def _named(self) -> Iterator[tuple[int, str, bool]]:
        """Yield the files that the first one names, with the line, and whether by a pattern."""
        for pattern in filter(None, map(str.strip, self._first.include.split("\n"))):
            line = self._first.lines.item(*INCLUDE, pattern)
            for file in matching(pattern, self._first.file):
                yield line, file, glob.has_magic(pattern)

    def _refuse_nesting(self, source: Source) -> None:
        if source.include:
            text = f"only the first file includes others, {self._first.file}"
            line = source.lines.of(*INCLUDE)
            self.problems.append(source.problem(line, *INCLUDE, text))


def matching(pattern: str, beside: str) -> list[str]:
    """Return the files that a line of `include` means, which may be none for a pattern."""
    folder = os.path.dirname(beside)
    if not glob.has_magic(pattern):
        return [os.path.join(folder, pattern)]
    return sorted(glob.glob(os.path.join(glob.escape(folder), pattern)))


def read_text(file: str, *, is_found: bool = False) -> str:
    """Return what stands in a file, which nobody named if it `is_found`. Raises `BadFile`."""
    folder = os.path.dirname(file)
    try:
        with open(file, encoding="utf-8-sig") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            text = opened.read()
        may_put = rights.may_put(folder, anew=is_found)
    except OSError as error:
        raise BadFile(f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadFile("cannot be read: not UTF-8 text") from None
    if rights.others(mode):
        raise BadFile(f"others may write it: chmod o-w {file}")
    if may_put:
        raise BadFile(f"others may put files into its folder: chmod o-w {folder or os.curdir}")
    return text
