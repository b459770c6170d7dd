"""Is every option described, sound by default, and read by something?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

import sockproxy
from sockproxy import ini
from sockproxy.settings import Bytes, Limits, Listener, Seconds, Service, Settings

SOURCES = Path(sockproxy.__file__).parent
NOT_READERS = {"ini.py", "cli.py"}
MODELS: dict[str, type[BaseModel]] = {
    **ini.SINGLE,
    **{kind: model for kind, (_, model) in ini.NAMED.items()},
}


def options() -> Iterator[tuple[str, str, FieldInfo]]:
    for section, model in MODELS.items():
        for name, field in model.model_fields.items():
            yield section, name, field


OPTIONS = list(options())


def faulty(model: type[BaseModel], name: str, value: object) -> set[object]:
    """Return which options are wrong where one has this value."""
    try:
        model(**{name: value})
    except ValidationError as error:
        return {fault["loc"][0] for fault in error.errors()}
    return set()


def ids(value: object) -> str:
    return value if isinstance(value, str) else ""


@pytest.mark.parametrize(("section", "name", "field"), OPTIONS, ids=ids)
def test_every_option_says_what_it_means(section: str, name: str, field: FieldInfo) -> None:
    assert field.description
    assert not field.description.endswith(".")


@pytest.mark.parametrize(("section", "name", "field"), OPTIONS, ids=ids)
def test_every_default_is_within_its_limits(section: str, name: str, field: FieldInfo) -> None:
    if not field.is_required():
        assert name not in faulty(MODELS[section], name, field.default)


def test_a_default_outside_its_limits_would_be_noticed() -> None:
    assert faulty(Limits, "streams", 0) == {"streams"}


@pytest.mark.parametrize(("section", "name", "field"), OPTIONS, ids=ids)
def test_every_option_is_read(section: str, name: str, field: FieldInfo) -> None:
    sources = (
        path
        for path in SOURCES.rglob("*.py")
        if path.name not in NOT_READERS and path.parent.name != "settings"
    )
    read = re.compile(rf"\.{name}\b")

    assert any(read.search(path.read_text(encoding="utf-8")) for path in sources)


@pytest.mark.parametrize(("section", "name", "field"), OPTIONS, ids=ids)
def test_every_number_is_limited(section: str, name: str, field: FieldInfo) -> None:
    if field.annotation in (int, float):
        assert any(hasattr(mark, "gt") or hasattr(mark, "ge") for mark in field.metadata)


@pytest.mark.parametrize(("section", "name", "field"), OPTIONS, ids=ids)
def test_every_duration_and_size_has_its_unit(section: str, name: str, field: FieldInfo) -> None:
    marked = any(isinstance(mark, (Seconds, Bytes)) for mark in field.metadata)
    is_float = field.annotation is float

    assert marked or not is_float or name.endswith("_per_s")


def test_settings_do_not_change() -> None:
    settings = Settings(listeners={"web": Listener(endpoint="tcp:8080")})

    with pytest.raises(ValidationError, match="frozen"):
        settings.sockproxy = Service(playground=True)
    with pytest.raises(ValidationError, match="frozen"):
        settings.limits.streams = 1


def test_the_playground_is_off_and_nothing_is_open_unless_said() -> None:
    settings = Settings(listeners={"web": Listener(endpoint="tcp:8080")})

    assert not settings.sockproxy.playground
    assert settings.backends == {}
    assert settings.access == {}
