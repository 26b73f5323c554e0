"""Every fact of the domain becomes its message, whole, on a topic of the registry."""

from __future__ import annotations

import dataclasses
import typing
from datetime import date
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from eldex.api.topics import load_topics
from eldex.common.identifiers import RegionCode, Sex
from eldex.registry.domain import facts
from eldex.registry.domain.eligibility_class import EligibilityClass
from eldex.registry.domain.scoring import AbilityLevel
from eldex.registry.wire.events import event

FACTS = typing.get_args(facts.Fact)
SAMPLES: dict[Any, Any] = {
    str: "key_1",
    date: date(2026, 11, 1),
    date | None: date(2026, 10, 1),
    Sex: Sex.FEMALE,
    RegionCode: RegionCode("511702"),
    EligibilityClass: EligibilityClass.LOW_INCOME,
    AbilityLevel: AbilityLevel.INTACT,
    AbilityLevel | None: AbilityLevel.COMPLETE,
    tuple[str, ...]: ("key_1", "key_2"),
}


@pytest.mark.parametrize("kind", FACTS, ids=lambda kind: kind.__name__)
def test_a_fact_becomes_its_message_with_every_field(kind: Any) -> None:
    hints = typing.get_type_hints(kind)
    fact = kind(**{field.name: SAMPLES[hints[field.name]] for field in dataclasses.fields(kind)})
    message = event(fact)
    assert message.DESCRIPTOR.name == kind.__name__
    given = {field.name for field, _ in message.ListFields()}
    assert given == {field.name for field in dataclasses.fields(kind)}
    assert given == {field.name for field in message.DESCRIPTOR.fields}
    assert "UNSPECIFIED" not in str(MessageToDict(message))


def test_the_registry_tells_every_event_of_its_topics() -> None:
    carried = {
        name
        for topic in load_topics().values()
        if topic.producer == "registry"
        for name in topic.events
    }
    assert carried == {f"eldex.api.registry.v1.{kind.__name__}" for kind in FACTS}
