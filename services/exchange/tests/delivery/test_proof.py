"""What was delivered is in the message log, with every agreement by which it was given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eldex.common.clock import system_clock
from eldex.evidence.note import Signer, signer_key
from eldex.evidence.subjects import SubjectKeys
from eldex.exchange.domain.agreements import EventGrant
from eldex.exchange.handlers.delivery_evidence import LoggedDeliveries
from eldex.exchange.store.message_log import MessageLog
from eldex.exchange.store.record_index import RecordIndex

DECEASED = "eldex.api.registry.v1.ResidentDeceased"


async def test_of_an_event_by_two_agreements_the_proof_names_both(
    bus: Any, receiver: Any, tmp_path: Path
) -> None:
    await bus.agree("partner-settlement", event_grants=[EventGrant(DECEASED)])
    subjects = SubjectKeys(tmp_path / "subject-keys")
    signer = Signer.parse(signer_key("511700/exchange", bytes(32)))
    log = MessageLog(tmp_path / "log", signer, subjects, RecordIndex(bus.backend), system_clock)
    await log.start()
    await bus.subscribe(receiver.url)
    await bus.tell("res_1")
    await receiver.have(1)
    await bus.caught_up()
    (fact,) = bus.evidence.facts
    await LoggedDeliveries(log).delivered(fact)
    records = [(await log.record(index)).record for index in range(log.size)]
    await log.close()
    assert [(r.agreement_key, r.agreement_version, r.kind) for r in records] == [
        ("partner", 1, "delivery"),
        ("partner-settlement", 1, "delivery"),
    ]
    assert len({record.subject_hashes for record in records}) == 1
