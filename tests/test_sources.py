"""Are a file and what it includes read as one, and is each mistake told where it stands?"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sockproxy import ini
from sockproxy.policy.access import Allow, Asker, Policy
from sockproxy.policy.target import NamedTarget

LISTEN = "[listen web]\nendpoint = tcp:8080\n"
BACKEND = """\
[backend {name}]
target = tcp:{name}.example.org:6667
origins = https://app.example
"""


class Folder:
    """Files of a test, by their paths in one folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, text: str) -> Path:
        file = self.path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        return file

    def include(self, *lines: str) -> None:
        """Let the first file include what `lines` say."""
        said = "".join(f"    {line}\n" for line in lines)
        self.write("proxy.ini", f"[sockproxy]\ninclude =\n{said}{LISTEN}")

    def load(self) -> ini.Loaded:
        return ini.read(str(self.path / "proxy.ini"))

    def backends(self) -> list[str]:
        return list(self.load().settings.backends)

    def problems(self) -> list[str]:
        """Return what is wrong, less the name of the folder."""
        with pytest.raises(ini.SettingsError) as caught:
            self.load()
        return str(caught.value).replace(f"{self.path}/", "").split("\n")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path)
    folder.write("conf.d/b.ini", BACKEND.format(name="irc"))
    folder.write("conf.d/a.ini", BACKEND.format(name="mqtt") + "[limits]\nstreams = 7\n")
    return folder


def test_a_pattern_includes_what_it_matches_in_order(folder: Folder) -> None:
    folder.include("conf.d/*.ini")

    loaded = folder.load()
    assert list(loaded.settings.backends) == ["mqtt", "irc"]
    assert loaded.settings.limits.streams == 7
    assert [Path(file).name for file in loaded.sources.files] == ["proxy.ini", "a.ini", "b.ini"]


def test_several_lines_are_included_in_their_order_and_each_file_once(folder: Folder) -> None:
    folder.include("conf.d/b.ini", "conf.d/[ab].ini", "./conf.d/../conf.d/b.ini", "*.ini")

    assert folder.backends() == ["irc", "mqtt"]


def test_one_include_may_stand_behind_its_key(folder: Folder) -> None:
    folder.write("proxy.ini", f"{LISTEN}[sockproxy]\ninclude = conf.d/b.ini\n")

    assert folder.backends() == ["irc"]


def test_an_absolute_path_is_one(folder: Folder) -> None:
    folder.include(f"{folder.path}/conf.d/*.ini")

    assert folder.backends() == ["mqtt", "irc"]


def test_the_name_of_the_folder_is_no_pattern(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "[a]*")
    folder.path.mkdir()
    folder.write("irc.ini", BACKEND.format(name="irc"))
    folder.include("i*.ini")

    assert folder.backends() == ["irc"]


def test_paths_count_from_the_file_that_names_them(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.include("conf.d/b.ini")
    (folder.path / "elsewhere").mkdir()
    monkeypatch.chdir(folder.path / "elsewhere")

    assert list(ini.read("../proxy.ini").settings.backends) == ["irc"]
    monkeypatch.chdir(folder.path)
    assert list(ini.read("proxy.ini").settings.backends) == ["irc"]


def test_a_pattern_may_match_nothing_but_a_plain_file_must_be_there(folder: Folder) -> None:
    folder.include("none.d/*.ini", "conf.d/c.ini")

    assert folder.problems() == [
        "proxy.ini:4: [sockproxy] include: conf.d/c.ini: cannot be read: No such file or directory"
    ]


def test_a_folder_or_what_is_no_text_cannot_be_read(folder: Folder) -> None:
    (folder.path / "conf.d" / "c.ini").write_bytes(b"\xff")
    folder.include("conf.*", "conf.d/c*")

    assert folder.problems() == [
        "proxy.ini:3: [sockproxy] include: conf.d: cannot be read: Is a directory",
        "proxy.ini:4: [sockproxy] include: conf.d/c.ini: cannot be read: not UTF-8 text",
    ]


def test_a_section_that_stands_twice_over_all_files_is_told_with_both_places(
    folder: Folder,
) -> None:
    folder.write("conf.d/b.ini", "\n" + BACKEND.format(name="mqtt") + LISTEN)
    folder.include("conf.d/*.ini")

    assert folder.problems() == [
        "conf.d/b.ini:2: [backend mqtt]: the section stands twice, first at conf.d/a.ini:1",
        "conf.d/b.ini:5: [listen web]: the section stands twice, first at proxy.ini:4",
    ]


def test_mistakes_are_told_where_they_stand_in_the_order_of_the_files(folder: Folder) -> None:
    folder.write("conf.d/a.ini", "x = 1\n[backend a]\ntarget = tcp:a:1\norgins = https://a\nb\n")
    folder.write("conf.d/b.ini", BACKEND.format(name="irc").replace("tcp:", "tpc:"))
    folder.include("conf.d/*.ini", "conf.d/a.ini")
    folder.write("proxy.ini", (folder.path / "proxy.ini").read_text() + "[limts]\n")

    assert [problem.partition("; ")[0] for problem in folder.problems()] == [
        'proxy.ini:7: [limts]: unknown section, did you mean "limits"?',
        "conf.d/a.ini:1: stands before the first [section]",
        'conf.d/a.ini:4: [backend a] orgins: unknown option, did you mean "origins"?',
        "conf.d/a.ini:5: [backend a]: 'b' is no `key = value`",
        "conf.d/b.ini:2: [backend irc] target: 'tpc:irc.example.org:6667': write tcp:HOST:PORT, "
        "tls:HOST:PORT or unix:/PATH",
    ]


def test_an_included_file_includes_none(folder: Folder) -> None:
    folder.write("conf.d/a.ini", "[sockproxy]\ninclude = b.ini\n")
    folder.include("conf.d/a.ini")

    assert folder.problems() == [
        "conf.d/a.ini:1: [sockproxy]: the section stands twice, first at proxy.ini:1",
        "conf.d/a.ini:2: [sockproxy] include: only the first file includes others, proxy.ini",
    ]


@pytest.mark.parametrize("mode", [0o602, 0o666, 0o777])
def test_a_file_that_everybody_may_write_is_not_believed(folder: Folder, mode: int) -> None:
    (folder.path / "conf.d" / "a.ini").chmod(mode)
    folder.include("conf.d/*.ini")
    assert folder.problems() == [
        "proxy.ini:3: [sockproxy] include: conf.d/a.ini: others may write it: "
        "chmod o-w conf.d/a.ini"
    ]

    (folder.path / "proxy.ini").chmod(mode)
    assert folder.problems() == ["proxy.ini: others may write it: chmod o-w proxy.ini"]


def test_a_folder_to_which_everybody_may_add_includes_nothing(folder: Folder) -> None:
    told = "others may put files into its folder: chmod o-w conf.d"
    (folder.path / "conf.d").chmod(0o1777)
    folder.include("conf.d/*.ini")
    assert folder.problems() == [
        f"proxy.ini:3: [sockproxy] include: conf.d/{name}.ini: {told}" for name in "ab"
    ]

    # Named by the operator, in a folder where nobody can put another in its place.
    folder.include("conf.d/a.ini")
    assert folder.backends() == ["mqtt"]
    (folder.path / "conf.d").chmod(0o777)
    assert folder.problems() == [f"proxy.ini:3: [sockproxy] include: conf.d/a.ini: {told}"]


def test_what_is_no_file_of_a_disk_has_no_such_mode() -> None:
    reader, writer = os.pipe()
    os.fchmod(writer, 0o666)
    os.write(writer, f"{LISTEN}{BACKEND.format(name='irc')}".encode())
    os.close(writer)

    assert list(ini.read(f"/dev/fd/{reader}").settings.backends) == ["irc"]
    os.close(reader)


def test_the_rule_that_decides_is_found_in_its_file(folder: Folder) -> None:
    folder.include("conf.d/*.ini")
    loaded = folder.load()

    asker = Asker("https://app.example", None, "")
    answer = Policy(loaded.settings).decide(asker, NamedTarget("irc"))
    assert isinstance(answer, Allow)
    place = f"{folder.path}/conf.d/b.ini:3: [backend irc] origins = https://app.example"
    assert loaded.place(answer.rule) == place
    assert str(loaded.problem("limits", "streams", "no")) == (
        f"{folder.path}/conf.d/a.ini:5: [limits] streams: no"
    )
