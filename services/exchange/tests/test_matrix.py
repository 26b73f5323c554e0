"""Every member kind × data service × purpose × field, through real gRPC, against a table of its own.

The agreements are drawn from a seed as rows of plain text. What is expected of a cell is looked up in
these rows by comparing texts, and what came is compared as JSON: nothing of the code under test is used
to know what is right.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.json_format import MessageToDict

from eldex.common.identifiers import RegionCode
from eldex.common.rpc.server import Dispatcher
from eldex.exchange.domain.agreements import Agreement, FieldGrant, PurposeTerms

SEED = 20261122
MEMBERS = {
    "department": ("511700", "member/health/assessment"),
    "partner city": ("500100", "member/partner-500100/elder-care"),
    "provider platform": ("511700", "member/provider-0001/home-care"),
    "liaison office": ("500100", "member/liaison-511700/service-desk"),
}
"""Kind of member → the city in its certificate, its subsystem."""
PURPOSES = ["ability-assessment", "home-care", "cross-city-settlement"]
PEOPLE = {"res_here": "511702001", "res_there": "500101", "res_untold": ""}
SERVICES = {
    "registry": "RegistryService",
    "medical": "MedicalService",
    "subsidies": "SubsidiesService",
    "institutions": "InstitutionsService",
    "credit": "CreditService",
}
ALWAYS = {"request_id", "etag", "page_size", "page_token", "read_mask"}


@dataclass(frozen=True)
class Row:
    """One line of the table: what one agreement gives for one method."""

    agreement: str
    kind: str
    city: str
    """Whose certificates it is for."""
    method: str
    purpose: str
    is_valid: bool
    reply: tuple[str, ...]
    request: tuple[str, ...]
    region: str
    """Where persons must live; empty: anywhere."""
    consent: bool


def methods() -> list[Any]:
    pool = descriptor_pool.Default()
    services = [
        pool.FindServiceByName(f"eldex.api.{name}.v1.{service}")
        for name, service in SERVICES.items()
    ]
    return [method for service in services for method in service.methods]


def path_of(method: Any) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


def names_of(kind: Any, depth: int = 3) -> Iterator[str]:
    """The paths of a kind of message."""
    for field in kind.fields:
        yield field.name
        inner = field.message_type
        if inner is not None and depth and inner.file.package != "google.protobuf":
            for below in names_of(inner, depth - 1):
                yield f"{field.name}.{below}"


def drawn(pick: random.Random, per_kind: int = 4) -> list[Row]:
    """The table."""
    rows = []
    for kind, (city, _) in MEMBERS.items():
        for number in range(per_kind):
            key = f"{kind.replace(' ', '-')}-{number}"
            home = city if pick.random() < 0.85 else "620100"
            is_valid = pick.random() < 0.85
            purposes = pick.sample(PURPOSES, pick.randint(1, 2))
            consents = {p for p in purposes if pick.random() < 0.3}
            region = pick.choice(["", "", "511702", "50"])
            for method in methods():
                if pick.random() < 0.5:
                    continue
                names_person = "resident_key" in method.input_type.fields_by_name
                if (region or consents) and not names_person:
                    continue  # whom such a reply shows is another test's matter
                replies = list(names_of(method.output_type))
                granted = pick.sample(replies, pick.randint(0, min(4, len(replies))))
                asked = [field.name for field in method.input_type.fields]
                usable = pick.sample(asked, pick.randint(0, len(asked)))
                rows += [
                    Row(
                        key,
                        kind,
                        home,
                        path_of(method),
                        purpose,
                        is_valid,
                        tuple(granted),
                        (*usable, *(["resident_key"] if names_person else [])),
                        region,
                        purpose in consents,
                    )
                    for purpose in purposes
                ]
    return rows


def agreements_of(rows: list[Row]) -> list[Agreement]:
    made = []
    for key in dict.fromkeys(row.agreement for row in rows):
        mine = [row for row in rows if row.agreement == key]
        first = mine[0]
        made.append(
            Agreement(
                key=key,
                subsystem=MEMBERS[first.kind][1],
                methods=list(dict.fromkeys(row.method for row in mine)),
                purposes=list(dict.fromkeys(row.purpose for row in mine)),
                legal_basis="共享协议（虚构）",
                valid_from=date(2026, 1, 1),
                valid_to=None if first.is_valid else date(2026, 11, 22),
                caller_regions=[RegionCode.parse(first.city)],
                field_grants=[
                    FieldGrant(row.method, row.reply, row.request)
                    for row in {row.method: row for row in mine}.values()
                ],
                purpose_terms=[
                    PurposeTerms(purpose, requires_consent=True)
                    for purpose in {row.purpose for row in mine if row.consent}
                ],
                subject_regions=[RegionCode.parse(first.region)] if first.region else [],
                checks_subjects=bool(first.region),
            )
        )
    return made


def expected(
    table: dict[tuple[str, str, str], list[Row]],
    kind: str,
    method: str,
    purpose: str,
    person: str,
    field: str,
    consents: set[tuple[str, str, str]],
) -> tuple[str, ...] | None:
    """What the rows give: the first agreement in key order that allows it; None: nothing."""
    for row in sorted(table.get((kind, method, purpose), []), key=lambda row: row.agreement):
        if not row.is_valid or row.city != MEMBERS[kind][0]:
            continue
        if field and field not in ALWAYS and field not in row.request:
            continue
        if person and row.region and not PEOPLE[person].startswith(row.region):
            continue
        if person and row.region and not PEOPLE[person]:
            continue
        if row.consent and (person, kind, purpose) not in consents:
            continue
        return row.reply
    return None


class Filler:
    """Fills messages with values that are nowhere else."""

    def __init__(self, pick: random.Random) -> None:
        self._pick, self._count = pick, 0

    def message(self, kind: Any, depth: int = 4) -> Any:
        made = message_factory.GetMessageClass(kind)()
        chosen = {
            self._pick.choice(list(oneof.fields)).name: oneof.name
            for oneof in kind.oneofs
            if not oneof.name.startswith("_")
        }
        for field in kind.fields:
            choice = field.containing_oneof
            if choice is not None and not choice.name.startswith("_") and field.name not in chosen:
                continue
            self.field(made, field, depth)
        return made

    def field(self, made: Any, field: Any, depth: int = 4) -> None:
        inner = field.message_type
        if inner is not None and inner.GetOptions().map_entry:
            return
        if inner is not None and inner.full_name == "google.protobuf.FieldMask":
            return
        if inner is not None and not depth:
            return
        values = [self._value(field, depth) for _ in range(2 if field.is_repeated else 1)]
        if field.is_repeated:
            getattr(made, field.name).extend(values)
        elif inner is not None:
            getattr(made, field.name).CopyFrom(values[0])
        else:
            setattr(made, field.name, values[0])

    def _value(self, field: Any, depth: int) -> Any:
        self._count += 1
        if field.message_type is not None:
            if field.message_type.full_name == "google.protobuf.Timestamp":
                made: Any = message_factory.GetMessageClass(field.message_type)()
                made.seconds = 1_700_000_000 + self._count
                return made
            return self.message(field.message_type, depth - 1)
        if field.enum_type is not None:
            return field.enum_type.values[-1].number
        by_type: dict[int, Any] = {
            field.TYPE_STRING: f"secret-{self._count}-value",
            field.TYPE_BYTES: f"secret-{self._count}-value".encode(),
            field.TYPE_BOOL: True,
            field.TYPE_DOUBLE: float(self._count),
            field.TYPE_FLOAT: float(self._count),
        }
        return by_type.get(field.type, self._count)


def leaves(tree: Any, names: str = "", place: str = "") -> Iterator[tuple[str, str, Any]]:
    """Of a message as JSON: the path of names, the place with its numbers, the value."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            yield from leaves(value, f"{names}.{name}".strip("."), f"{place}.{name}")
    elif isinstance(tree, list):
        for number, value in enumerate(tree):
            yield from leaves(value, names, f"{place}[{number}]")
    else:
        yield names, place, tree


def shown(message: Any) -> dict[tuple[str, str], Any]:
    tree = MessageToDict(message, preserving_proto_field_name=True)
    return {(names, place): value for names, place, value in leaves(tree)}


def is_granted(names: str, granted: tuple[str, ...]) -> bool:
    return names == "next_page_token" or any(
        names == each or names.startswith(f"{each}.") for each in granted
    )


class NoRules(Dispatcher):
    """A department that answers whatever it is asked: the rules for requests are not the matter here."""

    def admit(self, method: Any, payload: bytes, call: Any) -> Any:  # noqa: ARG002
        return method.request.FromString(payload)


@dataclass
class Matrix:
    """The table, what the departments answer, and what was found."""

    city: Any
    rows: list[Row]
    consents: set[tuple[str, str, str]]
    answers: dict[str, Any]
    filler: Filler
    cells: int = 0
    shown: int = 0
    calls: int = 0
    allowed: int = 0

    def __post_init__(self) -> None:
        self.wrong: list[str] = []
        self.table: dict[tuple[str, str, str], list[Row]] = {}
        for row in self.rows:
            self.table.setdefault((row.kind, row.method, row.purpose), []).append(row)
        self._at_once = asyncio.Semaphore(24)

    async def try_out(self, kind: str, method: Any, purpose: str, person: str, name: str) -> None:
        """One call: all cells of one member, data service and purpose, for one person."""
        path = path_of(method)
        request: Any = message_factory.GetMessageClass(method.input_type)()
        if person:
            request.resident_key = person
        if name:
            self.filler.field(request, method.input_type.fields_by_name[name])
        at, subsystem = MEMBERS[kind]
        async with self._at_once:
            reply = await self.city.ask(subsystem, path, request, purpose=purpose, city=at)
        granted = expected(self.table, kind, path, purpose, person, name, self.consents)
        full = shown(self.answers[path])
        self.cells += len(full)
        self.calls += 1
        here = f"{kind} {path} {purpose} {person} {name}"
        if granted is None:
            told = reply.trailing.get("grpc-status-details-bin", b"") + reply.response
            if reply.code != "PERMISSION_DENIED" or b"secret-" in told:
                self.wrong.append(f"{here}: {reply.code} {reply.message}, expected a refusal")
            return
        if reply.code != "OK":
            self.wrong.append(f"{here}: {reply.code} {reply.message}, expected {granted}")
            return
        self.allowed += 1
        came = shown(type(self.answers[path]).FromString(reply.response))
        due = {place: value for place, value in full.items() if is_granted(place[0], granted)}
        self.shown += len(due)
        if came != due:
            more, less = came.keys() - due.keys(), due.keys() - came.keys()
            self.wrong.append(f"{here}: leaked {more}, lacks {less}")


def trials(matrix: Matrix, pick: random.Random) -> Iterator[Any]:
    """Every cell once for each person, and once with a field that the request may or may not use."""
    for kind in MEMBERS:
        for method in methods():
            asked = method.input_type.fields_by_name
            person = asked.get("resident_key")
            people = [""] if person is None else list(PEOPLE)
            # A field that takes the person's place names somebody else: another test's matter.
            instead = person is not None and person.containing_oneof
            names = [
                name
                for name, field in asked.items()
                if name not in {"resident_key", "region_code"}
                and not (instead and field.containing_oneof is instead)
            ]
            for purpose in PURPOSES:
                for each in people:
                    yield matrix.try_out(kind, method, purpose, each, "")
                yield matrix.try_out(kind, method, purpose, people[0], pick.choice(["", *names]))


async def test_every_cell_shows_what_the_table_gives_and_nothing_else(
    tmp_path: Path, opening_a_city: Any
) -> None:
    pick = random.Random(SEED)
    async with AsyncExitStack() as stack:
        city = await opening_a_city(tmp_path, stack, department_kind=NoRules)
        rows = drawn(pick)
        for agreement in agreements_of(rows):
            await city.agree(agreement)
        for person, region in PEOPLE.items():
            if region:
                await city.settle(person, region)
        possible = [(p, kind, purpose) for p in PEOPLE for kind in MEMBERS for purpose in PURPOSES]
        consents = {each for each in possible if pick.random() < 0.5}
        for person, kind, purpose in sorted(consents):
            await city.consent(person, MEMBERS[kind][1], purpose)
        filler = Filler(pick)
        answers = {path_of(method): filler.message(method.output_type) for method in methods()}

        async def answer(path: str, _: Any, __: Any) -> Any:
            return answers[path]

        city.department.answer = answer
        matrix = Matrix(city, rows, consents, answers, filler)
        await asyncio.gather(*trials(matrix, pick))
        print(  # noqa: T201 - the numbers are what is asked for
            f"matrix: {matrix.cells} cells in {matrix.calls} calls over {len(methods())} methods, "
            f"{matrix.allowed} allowed, {matrix.shown} cells shown, {len(matrix.wrong)} wrong"
        )
        assert matrix.wrong == []
        assert matrix.cells > 50_000
        assert matrix.allowed > 200
        assert matrix.shown > 1_000
