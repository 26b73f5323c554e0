"""The topics of the contract, read from their YAML files and checked key by key.

A topic is contract: who writes it, who reads it, in what order, for how long. Topics are created from these files and
never by accident. The file's stem is the topic's name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

_KEYS = (
    "purpose",
    "producer",
    "consumers",
    "key",
    "partitions",
    "retention",
    "events",
    "dead_letters",
)
_KEBAB = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_SNAKE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_FULL_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*\.[A-Z][A-Za-z0-9]*")
_RETENTION = re.compile(r"[1-9][0-9]* (hour|day|week)s?")
_SECONDS = {"hour": 3_600, "day": 86_400, "week": 604_800}
_MOST_PARTITIONS = 1_000


class TopicError(ValueError):
    """A topic file says something that cannot be; the message names the file, the key and what is expected."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One Kafka topic (主题) as the contract promises it.

    `key` is the field of each event that is also the message key: the facts about one such subject stay in order.
    `retention_seconds` is how long a reader may be away without loss. `events` are full protobuf names, equal to the
    CloudEvents type. What a consumer cannot apply goes to the topic named by `dead_letters`.
    """

    name: str
    purpose_zh: str
    purpose_en: str
    producer: str
    consumers: tuple[str, ...]
    key: str
    partitions: int
    retention_seconds: int
    events: tuple[str, ...]
    dead_letters: str


def load_topics(folder: Path | None = None) -> dict[str, Topic]:
    """Every topic by its name; of the installed contract unless a folder is given.

    Raises TopicError for the first file that is malformed, and for an event that two topics claim.
    """
    if folder is None:
        return dict(_installed())
    return read_topics(folder)


def topic_of(event_full_name: str) -> Topic:
    """The topic on which events of that type travel, such as `eldex.api.registry.v1.ResidentDeceased`."""
    for topic in _installed().values():
        if event_full_name in topic.events:
            return topic
    raise TopicError(
        f"no topic carries {event_full_name}; name it under `events` of one file in proto/topics"
    )


@cache
def _installed() -> dict[str, Topic]:
    return read_topics(Path(__file__).parent)


def read_topics(folder: Path) -> dict[str, Topic]:
    """Reads all `*.yaml` of a folder; see load_topics for what is refused."""
    topics = {path.stem: _read(path) for path in sorted(folder.glob("*.yaml"))}
    if not topics:
        raise TopicError(f"{folder}: no topic file; expected <topic>.yaml")
    homes: dict[str, str] = {}
    takers: dict[str, str] = {}
    for topic in topics.values():
        for event in topic.events:
            if event in homes:
                raise TopicError(
                    f"{topic.name}.yaml: events: {event} already travels on {homes[event]}"
                )
            homes[event] = topic.name
        if topic.dead_letters in topics:
            raise TopicError(
                f"{topic.name}.yaml: dead_letters: {topic.dead_letters} carries events itself;"
                " expected a topic of its own for dead letters"
            )
        if topic.dead_letters in takers:
            raise TopicError(
                f"{topic.name}.yaml: dead_letters: {topic.dead_letters} already takes those of"
                f" {takers[topic.dead_letters]}; expected a topic of its own for dead letters"
            )
        takers[topic.dead_letters] = topic.name
    return topics


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which the same key twice is an error and not the last one's victory."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key in sorted(set(keys)):
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key} stands twice", node.start_mark
                )
        return super().construct_mapping(node, deep)


def _read(path: Path) -> Topic:
    if not _KEBAB.fullmatch(path.stem):
        raise TopicError(
            f"{path.name}: a topic is named in kebab-case, such as registry-residents.yaml"
        )
    file = _TopicFile(path.name, _mapping(path))
    purpose_zh, purpose_en = file.purpose()
    return Topic(
        name=path.stem,
        purpose_zh=purpose_zh,
        purpose_en=purpose_en,
        producer=file.word("producer", _KEBAB, "the name of a service, such as registry"),
        consumers=file.words(
            "consumers", _KEBAB, "a list of different names of services, such as [subsidies]"
        ),
        key=file.word(
            "key", _SNAKE, "the name of a field of every event of the topic, such as resident_key"
        ),
        partitions=file.partitions(),
        retention_seconds=file.retention_seconds(),
        events=file.words(
            "events",
            _FULL_NAME,
            "a list of different full message names, such as eldex.api.registry.v1.ResidentDeceased",
        ),
        dead_letters=file.word("dead_letters", _KEBAB, "the name of a topic in kebab-case"),
    )


def _mapping(path: Path) -> dict[str, object]:
    """The file's keys and values; all keys are there and no others."""
    try:
        # The loader is a SafeLoader: it makes plain values only.
        data = yaml.load(path.read_text("utf-8"), Loader=_UniqueKeys)  # noqa: S506
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise TopicError(f"{path.name}: not YAML in UTF-8: {reason}") from error
    if not isinstance(data, dict):
        raise TopicError(f"{path.name}: expected a mapping with the keys {', '.join(_KEYS)}")
    for key in data:
        if key not in _KEYS:
            raise TopicError(
                f"{path.name}: {key}: expected no such key; the keys are {', '.join(_KEYS)}"
            )
    for key in _KEYS:
        if key not in data:
            raise TopicError(f"{path.name}: {key}: expected this key to be present")
    return data


@dataclass(frozen=True, slots=True)
class _TopicFile:
    """The values of one file, each taken out in its shape or refused with the shape expected."""

    name: str
    data: dict[str, object]

    def refuse(self, key: str, expected: str) -> TopicError:
        return TopicError(f"{self.name}: {key}: expected {expected}")

    def word(self, key: str, shape: re.Pattern[str], expected: str) -> str:
        word = self.data[key]
        if not isinstance(word, str) or not shape.fullmatch(word):
            raise self.refuse(key, expected)
        return word

    def words(self, key: str, shape: re.Pattern[str], expected: str) -> tuple[str, ...]:
        words = self.data[key]
        if not isinstance(words, list) or not words:
            raise self.refuse(key, expected)
        if not all(isinstance(word, str) and shape.fullmatch(word) for word in words):
            raise self.refuse(key, expected)
        if len(set(words)) != len(words):
            raise self.refuse(key, expected)
        return tuple(words)

    def purpose(self) -> tuple[str, str]:
        purpose = self.data["purpose"]
        if not isinstance(purpose, dict) or set(purpose) != {"zh", "en"}:
            raise self.refuse("purpose", "the two keys zh and en")
        for language, text in purpose.items():
            if not isinstance(text, str) or not text.strip():
                raise self.refuse(f"purpose.{language}", "a sentence")
        return purpose["zh"].strip(), purpose["en"].strip()

    def partitions(self) -> int:
        count = self.data["partitions"]
        # bool is an int to Python, but `partitions: yes` is a slip.
        if (
            not isinstance(count, int)
            or isinstance(count, bool)
            or not 1 <= count <= _MOST_PARTITIONS
        ):
            raise self.refuse("partitions", f"a whole number from 1 to {_MOST_PARTITIONS}")
        return count

    def retention_seconds(self) -> int:
        expected = 'a number of hours, days or weeks, such as "7 days"'
        count, _, unit = self.word("retention", _RETENTION, expected).partition(" ")
        return int(count) * _SECONDS[unit.removesuffix("s")]
