"""Is a section what it was made of, and nothing else?"""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from sockproxy.settings.units import Duration, Model, Size


class Section(Model):
    wait: Duration = 1.0
    room: Size = 1


def test_an_option_that_nobody_knows_is_none() -> None:
    with pytest.raises(ValidationError, match="extra"):
        Section.model_validate({"weit": 2.0})


def test_a_section_does_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Section().wait = 2.0
