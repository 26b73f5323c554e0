"""What is asked of the evidence: proofs for everybody, records for whom they are about, ledgers by right."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf.timestamp_pb2 import Timestamp

from eldex.api.exchange.v1 import evidence_service_pb2 as pb
from eldex.api.registry.v1 import household_pb2
from eldex.api.registry.v1 import registry_service_pb2 as registry_pb
from eldex.common.contract import load_contract
from eldex.common.identifiers import RegionCode
from eldex.common.rpc.call import Identity
from eldex.common.rpc.policy import at_home
from eldex.common.rpc.server import Dispatcher
from eldex.common.service import service_descriptor
from eldex.common.testing.harness import ServiceOnMemory
from eldex.evidence.checkpoint import Checkpoint
from eldex.evidence.note import COSIGNATURE_V1, ED25519, Note, Signer, Suite, signer_key
from eldex.evidence.policy import Policy
from eldex.evidence.receipts import Bundle, Receipt
from eldex.evidence.records import Record
from eldex.evidence.subjects import SubjectKeys
from eldex.evidence.tree import verify_consistency, verify_inclusion
from eldex.exchange.domain.agreements import Agreement
from eldex.exchange.domain.message_log import LogEntry
from eldex.exchange.domain.operators import Operator
from eldex.exchange.handlers import Stores
from eldex.exchange.handlers.agreements import put_agreement
from eldex.exchange.handlers.evidence import approve_shredding
from eldex.exchange.rpc.admin_log import Logged
from eldex.exchange.rpc.agreement_table import AgreementTable
from eldex.exchange.rpc.evidence import EvidenceService
from eldex.exchange.rpc.roles import Roles
from eldex.exchange.rpc.service import may_call
from eldex.exchange.rpc.subjects import Subjects
from eldex.exchange.store.collections import REPOSITORIES, stores
from eldex.exchange.store.message_log import MessageLog
from eldex.exchange.store.record_index import COLLECTIONS, RecordIndex
from eldex.exchange.store.witness import FilePartners
from eldex.exchange.wire import event

WANG, LI = "res_06c3v0000000000000000000wa", "res_06c3v0000000000000000000ri"
POLICE, HEALTH = "police/household-registration", "health/assessment"
AUDIT, CIVIL = "audit/exchange", "civil-affairs/elder-care"
OPERATOR, SECOND_SEAT = "", "operations/night-watch"
SERVICE = "/eldex.api.exchange.v1.EvidenceService"
REGISTRY = "/eldex.api.registry.v1.RegistryService"


def key(name: str, suite: Suite = ED25519) -> Signer:
    return Signer.parse(signer_key(name, secrets.token_bytes(32), suite))


class Refused(Exception):
    """A call that was refused, by its reason."""


class House:
    """An exchange on the in-memory twin: a real log in a folder, calls as bytes through the real door."""

    def __init__(self, folder: Path, city: str, partners: str = "") -> None:
        self.folder, self.city = folder, city
        self.memory: ServiceOnMemory[Stores] = ServiceOnMemory(
            "exchange", stores, REPOSITORIES, event
        )
        self.signer, self.witness = key(f"{city}/exchange"), key(f"{city}/w", COSIGNATURE_V1)
        self.keys = SubjectKeys(folder / "subject-keys")
        index = RecordIndex(self.memory.backend)
        self.log = MessageLog(
            folder / "log", self.signer, self.keys, index, self.memory.clock, height=4
        )
        self.agreements = AgreementTable(self.memory.work)
        self.roles = Roles(RegionCode.parse(city), self.agreements, self.memory.clock)
        self.know(partners)

    def know(self, partners: str) -> None:
        """Learn the partners' keys."""
        policy = Policy.parse(partners + "quorum none\n")
        self.partners = FilePartners(
            self.folder / "witness", self.signer.verifier, self.witness, policy
        )
        self.evidence = EvidenceService(
            self.memory.work, self.log, self.keys, self.partners, self.roles, self.witness.verifier
        )
        descriptor = service_descriptor(pb, "EvidenceService")
        logged = Logged(descriptor, self.evidence, self.log, self.roles)
        may = at_home(self.city, may_call)
        self.door = Dispatcher([(descriptor, logged)], self.memory.clock, may)

    async def open(self) -> House:
        load_contract()
        await self.memory.start()
        await self.memory.backend.prepare(COLLECTIONS)
        await self.log.start()
        return self

    async def agree(self, subsystem: str, method: str, purpose: str) -> None:
        """Make an agreement about a method of the evidence."""
        agreement = Agreement(
            key=f"{subsystem.replace('/', '-')}-{method.lower()}",
            subsystem=f"member/{subsystem}",
            methods=[f"{SERVICE}/{method}"],
            purposes=[purpose],
            legal_basis="个人信息保护法 第四十五条",
            valid_from=date(2026, 1, 1),
        )
        await self.memory.do(lambda ports, _: put_agreement(agreement, "", ports))
        await self.agreements.refresh()

    async def look(self, who: str, resident: str, number: int = 0) -> Receipt:
        """A department looks at somebody; what the forwarding tells."""
        request = registry_pb.GetResidentRequest(resident_key=resident)
        data = request.SerializeToString()
        return await self.log.append(
            LogEntry(
                subsystem=f"member/{who}",
                method=f"{REGISTRY}/GetResident",
                purpose="residence-registration",
                agreement_key="police-registry",
                agreement_version=2,
                legal_basis="户口登记条例 第三条",
                request=data,
                reply=b"reply %d" % number,
                code="OK",
                reason="",
                trace_id="",
                subjects=Subjects().of_call(f"{REGISTRY}/GetResident", data, b""),
            )
        )

    async def ask(self, who: str, method: str, request: Any, purpose: str = "") -> Any:
        """Call the exchange itself; raises `Refused` with the reason."""
        path = f"{self.city}/member/{who}" if who else f"{self.city}/service/console"
        identity = Identity("eldex.local", who if "/service/" in who else path)
        metadata = {"eldex-purpose": purpose} if purpose else {}
        if "request_id" in request.DESCRIPTOR.fields_by_name:
            request.request_id = request.request_id or str(uuid.uuid4())
        answer = await self.door.answer(
            f"{SERVICE}/{method}", request.SerializeToString(), identity, metadata, None
        )
        if answer.failure:
            raise Refused(answer.failure.reason)
        self.receipt = answer.metadata.get("eldex-receipt", "")
        return getattr(pb, f"{method}Response").FromString(answer.response)


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    opened = await House(tmp_path / "a", "511700").open()
    yield opened
    await opened.log.close()


@pytest_asyncio.fixture
async def partner(tmp_path: Path) -> AsyncIterator[House]:
    opened = await House(tmp_path / "b", "500100").open()
    yield opened
    await opened.log.close()


def policy_of(house: House) -> Policy:
    return Policy.parse(f"log {house.signer.verifier}\nquorum none\n")


async def test_a_receipt_is_redeemed_for_a_bundle_that_anybody_can_check(house: House) -> None:
    receipt = await house.look(POLICE, WANG)
    got = await house.ask(POLICE, "GetBundle", pb.GetBundleRequest(receipt=str(receipt)))
    bundle = Bundle.parse(got.bundle)
    told = await house.ask(POLICE, "GetLogKey", pb.GetLogKeyRequest())
    assert bundle.verify(Policy.parse(told.policy)).checkpoint.size >= 1
    assert bundle.leaf_hash == receipt.leaf_hash
    assert Record.parse(bundle.record).legal_basis == "户口登记条例 第三条"


async def test_proofs_are_for_everybody_and_hold_against_the_signed_heads(house: House) -> None:
    receipts = [await house.look(POLICE, WANG, n) for n in range(21)]
    old = await house.ask(HEALTH, "GetCheckpoint", pb.GetCheckpointRequest(min_log_size=5))
    await house.look(POLICE, LI)
    new = await house.ask(HEALTH, "GetCheckpoint", pb.GetCheckpointRequest(min_log_size=22))
    policy = policy_of(house)
    heads = [policy.check(each.checkpoint).checkpoint for each in (old, new)]
    assert (new.log_size, new.root_hash) == (22, heads[1].root)
    proof = await house.ask(
        HEALTH, "GetInclusionProof", pb.GetInclusionProofRequest(receipt=str(receipts[9]))
    )
    leaf = receipts[9].leaf_hash
    verify_inclusion(
        9, proof.log_size, leaf, list(proof.hashes), await house.log.root(proof.log_size)
    )
    growth = await house.ask(
        HEALTH,
        "GetConsistencyProof",
        pb.GetConsistencyProofRequest(old_size=old.log_size, new_size=22),
    )
    verify_consistency(old.log_size, 22, heads[0].root, heads[1].root, list(growth.hashes))
    with pytest.raises(Refused, match="LOG_SIZE_UNKNOWN"):
        await house.ask(HEALTH, "GetCheckpoint", pb.GetCheckpointRequest(min_log_size=99))


async def test_a_receipt_of_another_history_is_not_explained_away(house: House) -> None:
    receipt = await house.look(POLICE, WANG)
    forged = Receipt(receipt.origin, receipt.index, bytes(32), receipt.salt)
    for text in (str(forged), "nonsense", str(receipt).replace("511700", "500100")):
        with pytest.raises(Refused, match="RECEIPT_UNKNOWN"):
            await house.ask(POLICE, "GetRecord", pb.GetRecordRequest(receipt=text))


async def test_a_member_sees_its_own_records_and_an_auditor_by_agreement_those_of_all(
    house: House,
) -> None:
    mine, others = await house.look(POLICE, WANG), await house.look(HEALTH, LI)
    seen = await house.ask(POLICE, "ListRecords", pb.ListRecordsRequest())
    assert [each.log_index for each in seen.records] == [mine.index]
    for request in (
        pb.ListRecordsRequest(subsystem=f"member/{HEALTH}"),
        pb.GetRecordRequest(log_index=others.index),
        pb.GetBundleRequest(log_index=others.index),
    ):
        method = request.DESCRIPTOR.name.removesuffix("Request")
        with pytest.raises(Refused, match=r"ACCESS_DENIED|PURPOSE_REQUIRED"):
            await house.ask(POLICE, method, request)
    await house.agree(AUDIT, "*", "audit")
    everything = await house.ask(AUDIT, "ListRecords", pb.ListRecordsRequest(), "audit")
    assert {each.subsystem for each in everything.records} == {
        f"member/{POLICE}",
        f"member/{HEALTH}",
    }
    with pytest.raises(Refused, match="ACCESS_DENIED"):
        await house.ask(AUDIT, "GetRecord", pb.GetRecordRequest(log_index=0), "curiosity")
    told = await house.ask(OPERATOR, "GetRecord", pb.GetRecordRequest(log_index=others.index))
    assert Record.parse(told.record.canonical).subsystem == f"member/{HEALTH}"


async def test_records_are_found_by_when_they_were_answered_and_how(house: House) -> None:
    days = []
    for number in range(3):
        days.append(Timestamp())
        days[-1].FromDatetime(house.memory.clock())
        await house.look(POLICE, WANG, number)
        await house.look(HEALTH, LI, number)
        house.memory.clock.pass_days(1)

    async def found(**conditions: Any) -> list[int]:
        request = pb.ListRecordsRequest(page_size=1, **conditions)
        numbers: list[int] = []
        while True:
            page = await house.ask(OPERATOR, "ListRecords", request)
            numbers += [each.log_index for each in page.records]
            request.page_token = page.next_page_token
            if not request.page_token:
                return numbers

    assert await found(from_time=days[1]) == [5, 4, 3, 2]
    assert await found(until_time=days[1]) == [1, 0]
    assert await found(from_time=days[1], until_time=days[2]) == [3, 2]
    assert await found(from_time=days[1], subsystem=f"member/{HEALTH}", code="OK") == [5, 3]
    assert await found(from_time=days[1], until_time=days[2], code="NOT_FOUND") == []
    later = Timestamp(seconds=days[2].seconds + 7 * 86_400)
    assert await found(from_time=later) == []
    assert await found(until_time=later) == [5, 4, 3, 2, 1, 0]


async def test_the_ledger_tells_who_saw_a_person_and_that_somebody_asked_is_in_it(
    house: House,
) -> None:
    await house.look(POLICE, WANG)
    await house.look(HEALTH, LI)
    request = pb.ListSubjectLedgerRequest(subject_key=WANG)
    with pytest.raises(Refused, match="PURPOSE_REQUIRED"):
        await house.ask(CIVIL, "ListSubjectLedger", request)
    await house.agree(CIVIL, "ListSubjectLedger", "subject-access")
    ledger = await house.ask(CIVIL, "ListSubjectLedger", request, "subject-access")
    # The refused attempt is a look at the person too.
    assert [(e.subsystem, e.purpose, e.code) for e in ledger.records] == [
        (f"member/{CIVIL}", "", "INVALID_ARGUMENT"),
        (f"member/{POLICE}", "residence-registration", "OK"),
    ]
    assert ledger.records[1].legal_basis == "户口登记条例 第三条"
    again = await house.ask(CIVIL, "ListSubjectLedger", request, "subject-access")
    own = again.records[0]
    assert (own.subsystem, own.purpose) == (f"member/{CIVIL}", "subject-access")
    assert own.agreement_key == "civil-affairs-elder-care-listsubjectledger"
    assert Receipt.parse(house.receipt).index == 4


async def test_whoever_is_refused_leaves_a_record_even_where_no_handler_was_asked(
    house: House,
) -> None:
    other = await house.look(HEALTH, WANG)
    for who, method, request, purpose, reason in (
        (
            "500100/service/console",
            "ListSubjectLedger",
            pb.ListSubjectLedgerRequest(subject_key=WANG),
            "",
            "ACCESS_DENIED",
        ),
        (POLICE, "ListSubjectLedger", pb.ListSubjectLedgerRequest(), "audit", "REQUEST_INVALID"),
        (POLICE, "ApproveShredding", pb.ApproveShreddingRequest(period="x"), "", "REQUEST_INVALID"),
        (POLICE, "GetRecord", pb.GetRecordRequest(log_index=other.index), "audit", "ACCESS_DENIED"),
        (POLICE, "ListSegments", pb.ListSegmentsRequest(), "", "PURPOSE_REQUIRED"),
        (POLICE, "GetCheckpoint", pb.GetCheckpointRequest(min_log_size=-1), "", "REQUEST_INVALID"),
        (POLICE, "GetCheckpoint", pb.GetCheckpointRequest(min_log_size=99), "", "LOG_SIZE_UNKNOWN"),
    ):
        with pytest.raises(Refused, match=reason):
            await house.ask(who, method, request, purpose)
    seen = await house.ask(OPERATOR, "ListRecords", pb.ListRecordsRequest())
    told = [(e.subsystem, e.method.rpartition("/")[2], e.reason, e.kind) for e in seen.records]
    mine = f"member/{POLICE}"
    # Who asks for a head that is not there is denied nothing.
    assert told[::-1][1:] == [
        ("500100/service/console", "ListSubjectLedger", "ACCESS_DENIED", "call"),
        (mine, "ListSubjectLedger", "REQUEST_INVALID", "call"),
        (mine, "ApproveShredding", "REQUEST_INVALID", "call"),
        (mine, "GetRecord", "ACCESS_DENIED", "call"),
        (mine, "ListSegments", "PURPOSE_REQUIRED", "call"),
    ]
    ledger = await house.ask(
        OPERATOR, "ListSubjectLedger", pb.ListSubjectLedgerRequest(subject_key=WANG)
    )
    assert [e.subsystem for e in ledger.records] == ["500100/service/console", f"member/{HEALTH}"]


async def test_a_month_is_forgotten_by_two_people_and_every_proof_stays(house: House) -> None:
    receipt = await house.look(POLICE, WANG)
    ask = pb.RequestShreddingRequest(period="2026-11", reason="保存期满", requested_by="li.wei")
    with pytest.raises(Refused, match="ACCESS_DENIED"):
        await house.ask(POLICE, "RequestShredding", ask)
    with pytest.raises(Refused, match="PERIOD_NOT_OVER"):
        await house.ask(OPERATOR, "RequestShredding", ask)
    house.memory.clock.pass_days(30)
    approve = pb.ApproveShreddingRequest(period="2026-11", approved_by="zhang.min")
    with pytest.raises(Refused, match="SHREDDING_NOT_REQUESTED"):
        await house.ask(OPERATOR, "ApproveShredding", approve)
    await house.ask(OPERATOR, "RequestShredding", ask)
    with pytest.raises(Refused, match="SECOND_PERSON_NEEDED"):
        await house.ask(
            OPERATOR,
            "ApproveShredding",
            pb.ApproveShreddingRequest(period="2026-11", approved_by="li.wei"),
        )
    with pytest.raises(Refused, match="SECOND_PERSON_NEEDED"):  # another name, the same certificate
        await house.ask(OPERATOR, "ApproveShredding", approve)
    for stranger in ("511700/service/registry", "500100/member/operations/x/service/x", POLICE):
        with pytest.raises(Refused, match="ACCESS_DENIED"):
            await house.ask(stranger, "ApproveShredding", approve)
    assert house.keys.periods() == ["2026-11", "2026-12"]
    approve.request_id = ""
    done = await house.ask(SECOND_SEAT, "ApproveShredding", approve)
    assert done.shredding.requested_with == "service/console"
    assert done.shredding.approved_with == f"member/{SECOND_SEAT}"
    assert house.keys.periods() == ["2026-12"]
    request = pb.ListSubjectLedgerRequest(subject_key=WANG)
    ledger = await house.ask(OPERATOR, "ListSubjectLedger", request)
    assert (list(ledger.records), list(ledger.forgotten_periods)) == ([], ["2026-11"])
    got = await house.ask(POLICE, "GetBundle", pb.GetBundleRequest(receipt=str(receipt)))
    Bundle.parse(got.bundle).verify(policy_of(house))
    admin = await house.ask(OPERATOR, "ListRecords", pb.ListRecordsRequest(kind="admin"))
    told = [(e.subsystem, e.method.rpartition("/")[2], e.code) for e in admin.records[::-1]]
    assert ("service/console", "ApproveShredding", "PERMISSION_DENIED") in told
    assert told[-2] == (f"member/{SECOND_SEAT}", "ApproveShredding", "OK")


async def test_what_was_approved_when_the_process_died_is_forgotten_at_the_next_start(
    house: House,
) -> None:
    await house.look(POLICE, WANG)
    house.memory.clock.pass_days(30)
    await house.ask(
        OPERATOR,
        "RequestShredding",
        pb.RequestShreddingRequest(period="2026-11", reason="保存期满", requested_by="li.wei"),
    )
    await house.memory.do(
        lambda ports, now: approve_shredding(
            "2026-11", Operator("member/operations/b", "z.min"), ports, now
        )
    )
    assert "2026-11" in house.keys.periods()
    await house.evidence.forget_what_was_approved()
    assert "2026-11" not in house.keys.periods()


async def test_only_sealed_segments_are_offered_to_the_archive(house: House) -> None:
    for n in range(40):
        await house.look(POLICE, WANG, n)
    request = pb.ListSegmentsRequest(archivable_only=True, page_size=1)
    first = await house.ask(OPERATOR, "ListSegments", request)
    request.page_token = first.next_page_token
    second = await house.ask(OPERATOR, "ListSegments", request)
    assert [s.segments[0].first_index for s in (first, second)] == [0, 16]
    assert second.next_page_token == ""
    with pytest.raises(Refused, match="PURPOSE_REQUIRED"):
        await house.ask(POLICE, "ListSegments", pb.ListSegmentsRequest())


async def head(house: House) -> Any:
    size = house.log.size
    return await house.ask(POLICE, "GetCheckpoint", pb.GetCheckpointRequest(min_log_size=size))


async def test_two_cities_co_sign_each_other_and_a_second_history_is_refused(
    house: House, partner: House, tmp_path: Path
) -> None:
    house.know(f"witness chongqing {partner.witness.verifier}\n")
    partner.know(f"log {house.signer.verifier}\n")
    for n in range(3):
        await house.look(POLICE, WANG, n)
    first = await head(house)
    signed = await partner.ask(
        "city/exchange", "AddCheckpoint", pb.AddCheckpointRequest(checkpoint=first.checkpoint)
    )
    cosigned = first.checkpoint + signed.cosignature.encode()
    taken = await house.ask(
        "b/exchange", "AddCosignature", pb.AddCosignatureRequest(checkpoint=cosigned)
    )
    assert taken.log_size == 3
    strict = Policy.parse(
        f"log {house.signer.verifier}\nwitness b {partner.witness.verifier}\nquorum b\n"
    )
    shown = await house.ask(POLICE, "GetBundle", pb.GetBundleRequest(log_index=1, cosigned=True))
    assert Bundle.parse(shown.bundle).verify(strict).witnesses["b"] > 0
    await house.look(POLICE, LI)
    with pytest.raises(Refused, match="NO_COSIGNATURE"):
        await house.ask(POLICE, "GetBundle", pb.GetBundleRequest(log_index=3, cosigned=True))
    # The same key, another past: what a restored copy would go on with.
    fork = House(tmp_path / "fork", "511700")
    fork.signer = house.signer
    fork.log = MessageLog(
        tmp_path / "fork" / "log",
        house.signer,
        fork.keys,
        RecordIndex(fork.memory.backend),
        fork.memory.clock,
        height=4,
    )
    fork.know("")
    await fork.open()
    for n in range(5):
        await fork.look(HEALTH, LI, n)
    forked = await head(fork)
    growth = await fork.log.consistency_proof(3, forked.log_size)
    request = pb.AddCheckpointRequest(old_size=3, hashes=growth, checkpoint=forked.checkpoint)
    with pytest.raises(Refused, match="CHECKPOINT_FORKED"):
        await partner.ask("city/exchange", "AddCheckpoint", request)
    await fork.log.close()
    newer = await head(house)
    stale = pb.AddCheckpointRequest(old_size=0, checkpoint=newer.checkpoint)
    with pytest.raises(Refused, match="CHECKPOINT_STALE"):
        await partner.ask("city/exchange", "AddCheckpoint", stale)


async def test_a_cosignature_of_nobody_we_know_is_not_shown(house: House) -> None:
    await house.look(POLICE, WANG)
    note = Note.parse((await head(house)).checkpoint)
    stranger = key("stranger/w", COSIGNATURE_V1)
    for data in (b"no note", note.encode(), note.signed(stranger.sign(note.text, 7)).encode()):
        with pytest.raises(Refused, match="NOT_WITNESSED"):
            await house.ask("b/x", "AddCosignature", pb.AddCosignatureRequest(checkpoint=data))
    assert Checkpoint.parse(note.text).size == 1


def test_subjects_are_found_at_any_depth_and_texts_that_are_no_keys_are_not() -> None:
    load_contract()
    subjects = Subjects()
    household = household_pb2.Household(
        household_key="hh_06c3v0000000000000000000hh",
        head_key=LI,
        members=[household_pb2.HouseholdMember(resident_key=each) for each in (WANG, LI)],
    )
    reply = registry_pb.GetHouseholdResponse(household=household).SerializeToString()
    asked = registry_pb.GetHouseholdRequest(household_key=household.household_key)
    found = subjects.of_call(f"{REGISTRY}/GetHousehold", asked.SerializeToString(), reply)
    assert found == (LI, WANG)
    request = registry_pb.GetResidentRequest(resident_key=WANG).SerializeToString()
    assert subjects.of_call(f"{REGISTRY}/GetResident", request, b"") == (WANG,)
    strange = registry_pb.GetResidentRequest(resident_key="curious").SerializeToString()
    assert subjects.of_call(f"{REGISTRY}/GetResident", strange, b"\xff\xff") == ()
    assert subjects.of_call(f"{REGISTRY}/Nonsense", request, b"") == ()
