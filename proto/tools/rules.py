"""The rules of the contract that buf does not know, each a function that returns what breaks it.

A finding is one line: where, and what to do. An empty list means the rule holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from google.protobuf.descriptor_pb2 import FieldDescriptorProto

from tools.contract import Contract, MessageType, Rpc, is_repeated, snake, type_of
from tools.layout import ContractError, Layout
from tools.topics import Topic

READ_MASK = "google.protobuf.FieldMask"

# What an event may not carry. Names of things that are no persons are no personal data.
_PERSONAL = re.compile(
    r"(^|_)(identity|identities|id_card|id_number|id_no|national_id|resident_id|ssn|passport|permit_number"
    r"|document_number|phone|phones|telephone|mobile|email|e_mail|wechat|bank_account|account_number)(_|$)"
    r"|(^|_)(name|names|surname|forename|full_name)$"
)
_NAMES_OF_THINGS = re.compile(
    r"^(institution|organisation|organization|department|service|scheme|programme|region|division|place|city|county"
    r"|topic|type|method|field|role|file)_name$"
)


def contract_findings(contract: Contract) -> list[str]:
    """All rules about calls, messages and enums."""
    return [finding for rule in CONTRACT_RULES for finding in rule(contract)]


def writes_happen_once(contract: Contract) -> list[str]:
    """Every writing call carries a request_id, so that sending it twice changes nothing twice."""
    return list(_requests_with(contract, lambda rpc: rpc.is_write, "request_id", "string"))


def updates_carry_a_version(contract: Contract) -> list[str]:
    """Every call that starts with Update or Correct carries the etag it is based on."""
    return list(
        _requests_with(contract, lambda rpc: _verb(rpc) in {"Update", "Correct"}, "etag", "string")
    )


def lists_come_in_pages(contract: Contract) -> list[str]:
    """Every List and Search has page_size and page_token, and its response next_page_token."""
    pages = [rpc for rpc in contract.rpcs() if _verb(rpc) in {"List", "Search"}]
    findings: list[str] = []
    for rpc in pages:
        for message, field, type_ in (
            (rpc.request, "page_size", "int32"),
            (rpc.request, "page_token", "string"),
            (rpc.response, "next_page_token", "string"),
        ):
            findings += _field_missing(contract, rpc, message, field, type_)
    return findings


def reads_can_be_masked(contract: Contract) -> list[str]:
    """Every Get, List and Search says with a read_mask which fields are wanted."""
    return list(
        _requests_with(
            contract, lambda rpc: _verb(rpc) in {"Get", "List", "Search"}, "read_mask", READ_MASK
        )
    )


def events_name_nobody(contract: Contract) -> list[str]:
    """No event, however deep, has a field for an identity number, a person's name, a telephone or an account."""
    findings = []
    for event in contract.events.values():
        for path, field in _fields_below(contract, event):
            if _PERSONAL.search(field.name) and not _NAMES_OF_THINGS.match(field.name):
                findings.append(
                    f"{event.full_name}: {path} may tell who a person is; an event carries opaque keys only"
                )
    return findings


def enums_begin_with_unspecified(contract: Contract) -> list[str]:
    """The zero of every enum is <ENUM_NAME>_UNSPECIFIED: not said is never mistaken for an answer."""
    findings = []
    for enum in contract.own_enums:
        zero = next((value.name for value in enum.proto.value if value.number == 0), "")
        wanted = f"{snake(enum.name).upper()}_UNSPECIFIED"
        if zero != wanted:
            findings.append(f"{enum.full_name}: its zero is {zero or 'missing'}; name it {wanted}")
    return findings


CONTRACT_RULES: tuple[Callable[[Contract], list[str]], ...] = (
    writes_happen_once,
    updates_carry_a_version,
    lists_come_in_pages,
    reads_can_be_masked,
    events_name_nobody,
    enums_begin_with_unspecified,
)


def known_services(layout: Layout, contract: Contract) -> set[str]:
    """Who may write or read a topic: each folder of services/, and each department with a gRPC service."""
    folder = layout.root.parent / "services"
    found = {path.name for path in folder.iterdir() if path.is_dir()} if folder.is_dir() else set()
    return found | contract.departments


def topic_findings(
    contract: Contract, topics: Mapping[str, Topic], services: set[str]
) -> list[str]:
    """Every topic names services and events that exist, and every event has exactly one topic."""
    findings: list[str] = []
    for topic in topics.values():
        where = f"topics/{topic.name}.yaml"
        for role, service in (
            ("producer", topic.producer),
            *(("consumers", each) for each in topic.consumers),
        ):
            if service not in services:
                findings.append(
                    f"{where}: {role}: no service {service}; there are {', '.join(sorted(services))}"
                )
        for name in topic.events:
            findings += [
                f"{where}: {problem}" for problem in _event_problems(contract, topic, name)
            ]
    carried = [name for topic in topics.values() for name in topic.events]
    for event in contract.events.values():
        homes = carried.count(event.full_name)
        if homes != 1:
            findings.append(
                f"{event.file}: {event.name} is on {homes} topics; name it under `events` of exactly one file in topics/"
                " (what is only a part of an event belongs in another .proto file)"
            )
    return findings


def _event_problems(contract: Contract, topic: Topic, name: str) -> Iterator[str]:
    event = contract.events.get(name)
    if event is None:
        yield f"events: no message {name} in a file *_events.proto"
        return
    if event.department != topic.producer:
        yield f"events: {name} is a fact of {event.department}, the producer is {topic.producer}"
    key = event.field_named(topic.key)
    if key is None or type_of(key) != "string" or is_repeated(key):
        yield f"key: {event.name} has no field `string {topic.key}` to be the message key"


def example_findings(layout: Layout, contract: Contract, topics: Mapping[str, Topic]) -> list[str]:
    """Each event and each writing call has its golden examples, and no file in examples/ stands for nothing."""
    wanted = set(example_files(contract, topics))
    optional = set(_all_example_files(contract, topics))
    present = {
        path.relative_to(layout.examples).as_posix()
        for path in layout.examples.rglob("*")
        if path.is_file()
    }
    findings = [f"examples/{name}: missing" for name in sorted(wanted - present)]
    findings += [
        f"examples/{name}: stands for no event and no call; expected <topic>/<event_snake>.json or"
        " <service>/<rpc_snake>_request.json or _response.json"
        for name in sorted(present - optional)
    ]
    return findings


def example_files(contract: Contract, topics: Mapping[str, Topic]) -> dict[str, str]:
    """The examples that must exist below examples/: file name → full name of its message."""
    writes = {rpc.full_name for rpc in contract.rpcs() if rpc.is_write}
    return {
        file: message
        for file, (message, rpc) in _all_example_files(contract, topics).items()
        if rpc is None or rpc in writes
    }


def example_types(contract: Contract, topics: Mapping[str, Topic]) -> dict[str, str]:
    """The examples that may exist: file name → full name of its message."""
    return {file: message for file, (message, _) in _all_example_files(contract, topics).items()}


def _all_example_files(
    contract: Contract, topics: Mapping[str, Topic]
) -> dict[str, tuple[str, str | None]]:
    files: dict[str, tuple[str, str | None]] = {}
    for topic in topics.values():
        for event in topic.events:
            files[f"{topic.name}/{snake(event.rpartition('.')[2])}.json"] = (event, None)
    for rpc in contract.rpcs():
        for kind, message in (("request", rpc.request), ("response", rpc.response)):
            file = f"{rpc.department}/{snake(rpc.name)}_{kind}.json"
            if file in files:
                raise ContractError(
                    f"examples/{file} would stand for {files[file][0]} and for {message}; rename one"
                )
            files[file] = (message, rpc.full_name)
    return files


def _verb(rpc: Rpc) -> str:
    return snake(rpc.name).partition("_")[0].capitalize()


def _requests_with(
    contract: Contract, applies: Callable[[Rpc], bool], field: str, type_: str
) -> Iterator[str]:
    for rpc in contract.rpcs():
        if applies(rpc):
            yield from _field_missing(contract, rpc, rpc.request, field, type_)


def _field_missing(
    contract: Contract, rpc: Rpc, message: str, field: str, type_: str
) -> Iterable[str]:
    found = contract.messages[message].field_named(field)
    if found is None or type_of(found) != type_ or is_repeated(found):
        yield f"{rpc.full_name}: {message.rpartition('.')[2]} needs `{type_} {field}`"


def _fields_below(
    contract: Contract, message: MessageType, above: tuple[str, ...] = ()
) -> Iterator[tuple[str, FieldDescriptorProto]]:
    for field in message.proto.field:
        yield ".".join((*above, field.name)), field
        inner = contract.messages.get(type_of(field))
        if inner is not None and inner.full_name.startswith("eldex.") and len(above) < 8:
            yield from _fields_below(contract, inner, (*above, field.name))
