"""The glossary tells the words that are in the contract and the code, all of them, and no others."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.descriptor import FileDescriptor

from eldex.api.topics import load_topics

ROOT = Path(__file__).parents[1]
GENERATED = ROOT / "proto" / "gen" / "eldex" / "api"
CHINESE = re.compile(r"[\u4e00-\u9fff]")
INFRASTRUCTURE = {"operations", "trunk"}
"""Parts of the contract that no department speaks of."""


@dataclass(frozen=True)
class Row:
    """A word: where it belongs, and how it is said."""

    section: str
    chinese: str
    english: str
    code: str
    source: str


def rows() -> list[Row]:
    found, section = [], ""
    for line in (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        elif line.startswith("| ") and "`" in line:
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            assert len(cells) == 4, line
            found.append(Row(section, cells[0], cells[1], cells[2].strip("`"), cells[3]))
    return found


def contract() -> list[FileDescriptor]:
    modules = (path.relative_to(GENERATED) for path in GENERATED.glob("*/v1/*_pb2.py"))
    return [
        importlib.import_module(".".join(("eldex.api", *module.with_suffix("").parts))).DESCRIPTOR
        for module in sorted(modules)
    ]


def service_of(file: FileDescriptor) -> str:
    return file.package.split(".")[2]


def words_that_need_a_row() -> set[tuple[str, str]]:
    needed = {(topic.producer, topic.name) for topic in load_topics().values()}
    for file in contract():
        if service_of(file) in INFRASTRUCTURE:
            continue
        for name, message in file.message_types_by_name.items():
            spoken_with = name.endswith(("Request", "Response"))
            is_noun = "etag" in message.fields_by_name and not spoken_with
            if is_noun or file.name.endswith("_events.proto"):
                needed.add((service_of(file), name))
    return needed


def words_that_exist() -> set[tuple[str, str]]:
    known = {(topic.producer, topic.name) for topic in load_topics().values()}
    for file in contract():
        names = [*file.message_types_by_name, *file.enum_types_by_name]
        known |= {(service_of(file), name) for name in names}
    sources = {"common": ROOT / "libs" / "common" / "src" / "eldex" / "common"}
    for folder in (ROOT / "services").iterdir():
        sources[folder.name] = folder / "src" / "eldex" / folder.name
    for owner, folder in sources.items():
        for path in folder.rglob("*.py"):
            for name in re.findall(r"^class (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE):
                known.add((owner, name))
    return known


def test_every_noun_event_and_topic_of_the_contract_has_a_row() -> None:
    told = {(row.section, row.code) for row in rows()}
    assert sorted(words_that_need_a_row() - told) == []


def test_no_row_names_what_is_not_there() -> None:
    assert sorted({(row.section, row.code) for row in rows()} - words_that_exist()) == []


def test_every_word_is_told_once_in_both_languages_with_its_source_in_order() -> None:
    told = [(row.section, row.code.lower()) for row in rows()]
    assert told == sorted(set(told))
    for row in rows():
        assert CHINESE.search(row.chinese), row
        assert re.search(r"[a-z]", row.english), row
        assert not CHINESE.search(row.english), row
        assert row.source, row
