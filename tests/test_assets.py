"""Is every file that a page needs in the list, with a type that browsers accept?"""

from __future__ import annotations

from importlib.resources import files

from sockproxy.assets import CONTENT_TYPES, client_files, demo_files


def test_the_client_comes_in_three_files() -> None:
    assert [name for name, _ in client_files()] == [
        "sockproxy.js",
        "sockproxy.mjs",
        "sockproxy.d.ts",
    ]


def test_every_file_of_the_demo_is_served_and_the_index_twice() -> None:
    names = [name for name, _ in demo_files()]
    folder = files("sockproxy") / "static" / "demo"

    assert set(names) - {""} == {item.name for item in folder.iterdir() if item.is_file()}
    assert names.count("") == 1
    assert all("." + name.rpartition(".")[2] in CONTENT_TYPES for name in names if name)
