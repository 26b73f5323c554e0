"""Each topic names services and events that exist, each event has one topic, and a wrong topic file is refused clearly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml
from tools.contract import Contract
from tools.layout import Layout
from tools.rules import known_services, topic_findings
from tools.topics import Topic, TopicError, load_topics

from eldex.api import topics as installed
from eldex.api.registry.v1 import resident_events_pb2

DECEASED = "eldex.api.registry.v1.ResidentDeceased"
SERVICES = {"registry", "subsidies"}
GOOD: dict[str, object] = {
    "purpose": {"zh": "居民的事实", "en": "Facts about residents"},
    "producer": "registry",
    "consumers": ["subsidies"],
    "key": "resident_key",
    "partitions": 6,
    "retention": "7 days",
    "events": [DECEASED],
    "dead_letters": "registry-residents-dead-letters",
}


def write(
    folder: Path, changes: Mapping[str, object] | None = None, name: str = "registry-residents"
) -> Path:
    """Writes a topic file that is good but for the changes; a change to None leaves the key out."""
    data = {key: value for key, value in {**GOOD, **(changes or {})}.items() if value is not None}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(data, allow_unicode=True), "utf-8")
    return folder


@pytest.fixture
def death(contract_of: Callable[[str], Contract]) -> Contract:
    """A contract with one event, the death of a resident."""
    return contract_of("message ResidentDeceased { string resident_key = 1; }")


def test_every_topic_is_complete_and_every_event_has_one(
    layout: Layout, contract: Contract, topics: dict[str, Topic]
) -> None:
    assert topic_findings(contract, topics, known_services(layout, contract)) == []


def test_services_at_run_time_see_the_same_topics(topics: dict[str, Topic]) -> None:
    """The installed copies are what the files in proto/topics say."""
    seen = installed.load_topics()
    assert {name: repr(topic) for name, topic in seen.items()} == {
        name: repr(topic) for name, topic in topics.items()
    }


def test_a_service_finds_the_topic_of_a_death() -> None:
    topic = installed.topic_of(resident_events_pb2.ResidentDeceased.DESCRIPTOR.full_name)
    assert (topic.name, topic.producer, topic.key) == (
        "registry-residents",
        "registry",
        "resident_key",
    )
    with pytest.raises(
        installed.TopicError, match=r"no topic carries eldex\.api\.registry\.v1\.Resurrected"
    ):
        installed.topic_of("eldex.api.registry.v1.Resurrected")


def test_a_good_topic_file_is_read_in_full(tmp_path: Path) -> None:
    assert load_topics(write(tmp_path))["registry-residents"] == Topic(
        name="registry-residents",
        purpose_zh="居民的事实",
        purpose_en="Facts about residents",
        producer="registry",
        consumers=("subsidies",),
        key="resident_key",
        partitions=6,
        retention_seconds=7 * 24 * 3600,
        events=(DECEASED,),
        dead_letters="registry-residents-dead-letters",
    )


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("purpose", "facts", "registry-residents.yaml: purpose: expected the two keys zh and en"),
        (
            "purpose",
            {"zh": "", "en": "Facts"},
            "registry-residents.yaml: purpose.zh: expected a sentence",
        ),
        ("producer", "Registry Office", "producer: expected the name of a service"),
        ("consumers", [], "consumers: expected a list of different names"),
        ("consumers", ["subsidies", "subsidies"], "consumers: expected a list of different names"),
        ("key", "residentKey", "key: expected the name of a field"),
        ("partitions", 0, "partitions: expected a whole number from 1 to 1000"),
        ("partitions", True, "partitions: expected a whole number"),
        ("partitions", "six", "partitions: expected a whole number"),
        ("retention", 7, 'retention: expected a number of hours, days or weeks, such as "7 days"'),
        ("retention", "7 moons", "retention: expected a number of hours, days or weeks"),
        ("events", ["ResidentDeceased"], "events: expected a list of different full message names"),
        (
            "dead_letters",
            "Dead Letters",
            "dead_letters: expected the name of a topic in kebab-case",
        ),
        ("owner", "registry", "owner: expected no such key; the keys are purpose, producer"),
    ],
)
def test_a_wrong_key_is_named_with_what_is_expected(
    key: str, value: object, says: str, tmp_path: Path
) -> None:
    with pytest.raises(TopicError) as refused:
        load_topics(write(tmp_path, {key: value}))
    assert says in str(refused.value)
    assert str(refused.value).startswith("registry-residents.yaml: ")


@pytest.mark.parametrize("key", sorted(GOOD))
def test_a_key_that_is_left_out_is_named(key: str, tmp_path: Path) -> None:
    with pytest.raises(
        TopicError, match=f"registry-residents.yaml: {key}: expected this key to be present"
    ):
        load_topics(write(tmp_path, {key: None}))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("purpose: [", "not YAML in UTF-8"),
        ("- registry", "expected a mapping with the keys purpose"),
        ("key: a\nkey: b\n", "the key key stands twice"),
    ],
)
def test_a_file_that_is_no_topic_at_all_is_refused(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "registry-residents.yaml").write_text(text, "utf-8")
    with pytest.raises(TopicError, match=f"registry-residents.yaml: .*{says}"):
        load_topics(tmp_path)


def test_a_file_name_that_is_no_topic_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TopicError, match=r"Residents\.yaml: a topic is named in kebab-case"):
        load_topics(write(tmp_path, name="Residents"))


def test_an_empty_folder_is_an_error_and_not_a_bus_without_topics(tmp_path: Path) -> None:
    with pytest.raises(TopicError, match="no topic file"):
        load_topics(tmp_path)


def test_an_event_cannot_travel_on_two_topics(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(
        TopicError,
        match=r"residents-again.yaml: events: .*ResidentDeceased already travels on registry",
    ):
        load_topics(write(tmp_path, name="residents-again"))


def test_dead_letters_do_not_fall_into_a_topic_that_others_read(tmp_path: Path) -> None:
    with pytest.raises(TopicError, match="dead_letters: registry-residents carries events itself"):
        load_topics(write(tmp_path, {"dead_letters": "registry-residents"}))


def test_two_topics_do_not_mix_their_dead_letters(tmp_path: Path) -> None:
    write(tmp_path)
    moved = {"events": ["eldex.api.registry.v1.ResidentMoved"]}
    with pytest.raises(TopicError, match="already takes those of registry-residents"):
        load_topics(write(tmp_path, moved, name="residents-again"))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"producer": "police"}, "producer: no service police; there are registry, subsidies"),
        ({"consumers": ["subsidies", "pensions"]}, "consumers: no service pensions"),
        (
            {"producer": "subsidies"},
            f"events: {DECEASED} is a fact of registry, the producer is subsidies",
        ),
        ({"key": "household_key"}, "key: ResidentDeceased has no field `string household_key`"),
        (
            {"events": [DECEASED, "eldex.api.registry.v1.ResidentMoved"]},
            "events: no message eldex.api.registry.v1.ResidentMoved in a file *_events.proto",
        ),
        ({"events": ["eldex.api.registry.v1.ResidentMoved"]}, "ResidentDeceased is on 0 topics"),
    ],
)
def test_a_topic_that_contradicts_the_contract_is_found(
    changes: dict[str, object], says: str, death: Contract, tmp_path: Path
) -> None:
    folder = tmp_path / "topics"
    folder.mkdir()
    assert topic_findings(death, load_topics(write(folder)), SERVICES) == []
    findings = topic_findings(death, load_topics(write(folder, changes)), SERVICES)
    assert any(says in finding for finding in findings), findings
