"""No repeated collection (国务院令第809号 article 19): no department asks for what another one is the source of.

A fact's source says so on the field, with the names under which it would be asked for (`sharing.v1.asked_as`). A
message or enum of another department in a request asks for its facts too, whatever the field is called. What is
asked for all the same stands in `collected-twice.yaml` with its reason.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from google.protobuf.descriptor_pb2 import FieldDescriptorProto

from tools.contract import Contract, Rpc, type_of
from tools.layout import PACKAGE, ContractError
from tools.sharing import NO_DEPARTMENTS, OPTIONS

SHARED_BY_ALL = frozenset({"common"})
_FEWEST_CHARACTERS = 15


def read_reasons(file: Path) -> dict[str, str]:
    """The exceptions of a file by the place they are for."""
    data = yaml.safe_load(file.read_text("utf-8")) if file.is_file() else {}
    if not isinstance(data, dict) or not all(isinstance(each, str) for each in data.values()):
        raise ContractError(f"{file.name}: expected <service>.<rpc>.<field>: <reason>")
    return data


def collection_findings(contract: Contract, reasons: Mapping[str, str]) -> list[str]:
    """What is asked for twice without a reason, reasons that are none, and reasons for nothing."""
    found = dict(asked_twice(contract))
    findings = [
        f"{place}: {what}; ask the exchange for it, or give the reason in collected-twice.yaml"
        for place, what in found.items()
        if place not in reasons
    ]
    findings += [
        f"collected-twice.yaml: {place}: nothing is collected twice there"
        for place in reasons
        if place not in found
    ]
    findings += [
        f"collected-twice.yaml: {place}: say why, in a sentence"
        for place, reason in reasons.items()
        if len(reason) < _FEWEST_CHARACTERS
    ]
    return findings


def asked_twice(contract: Contract) -> Iterator[tuple[str, str]]:
    """Where a request asks for another department's fact, and which."""
    sources = _sources(contract)
    for rpc in contract.rpcs():
        if not rpc.is_write or rpc.department in NO_DEPARTMENTS:
            continue
        for path, field in _asked(contract, rpc, rpc.request, ()):
            where = f"{rpc.department}.{rpc.name}.{'.'.join(path)}"
            owner = _owner(field)
            if owner is not None and owner not in {rpc.department, *SHARED_BY_ALL}:
                yield where, f"asks for {type_of(field)}, which {owner} holds"
                continue
            holders = [fact for fact in sources[field.name] if not fact.startswith(rpc.department)]
            own = any(fact.startswith(rpc.department) for fact in sources[field.name])
            if holders and not own:
                yield where, f"asks for {holders[0]} again"


def _sources(contract: Contract) -> dict[str, list[str]]:
    """Name under which a fact is asked for → `<department>.<Message>.<field>` that is its source."""
    found: dict[str, list[str]] = defaultdict(list)
    for message in contract.own_messages:
        for field in message.proto.field:
            names = str(contract.options(field).get(f"{OPTIONS}.asked_as", ""))
            for name in names.split():
                found[name].append(f"{message.department}.{message.name}.{field.name}")
    return found


def _asked(
    contract: Contract, rpc: Rpc, message: str, above: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], FieldDescriptorProto]]:
    """The fields of a request; another department's message is one of them, not gone into."""
    for field in contract.messages[message].proto.field:
        path = (*above, field.name)
        inner: Any = contract.messages.get(type_of(field))
        is_ours = inner is not None and inner.full_name.startswith(PACKAGE + ".")
        if is_ours and inner.department in {rpc.department, *SHARED_BY_ALL} and len(above) < 8:
            yield from _asked(contract, rpc, inner.full_name, path)
        else:
            yield path, field


def _owner(field: FieldDescriptorProto) -> str | None:
    """The department whose message or enum the field holds; None: nobody's."""
    name = type_of(field)
    if not field.type_name or not name.startswith(PACKAGE + "."):
        return None
    return name.removeprefix(PACKAGE + ".").partition(".")[0]
