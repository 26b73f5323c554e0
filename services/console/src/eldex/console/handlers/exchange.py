"""What operations do with the exchange: look into its log, prove a record, see to a subscriber."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from eldex.common.errors import Language
from eldex.common.identifiers import new_key
from eldex.common.privacy import masked
from eldex.console.domain.people import Account, Act, Action, LogReadersOnly, NoReason
from eldex.console.domain.proofs import Check, LogLine, LogSearch, Proof, prove
from eldex.console.domain.sharing import Explanation, Page
from eldex.console.handlers import Ports, operate
from eldex.console.handlers.exchange_ports import Decision, DeliveryChange, Trust
from eldex.evidence.errors import EvidenceError


async def look_into_log(account: Account, address: str, target: str, ports: Ports) -> None:
    """Record that somebody looks into the message log; raises `LogReadersOnly`, recorded as well."""
    entry = Action(
        new_key("act"), ports.clock(), account.user, address, Act.LOOK_INTO_LOG, target, "done"
    )
    if not account.role.reads_log:
        await ports.actions.append(replace(entry, outcome=LogReadersOnly.reason))
        raise LogReadersOnly
    await ports.actions.append(entry)


async def search_log(
    search: LogSearch, page: str, account: Account, address: str, ports: Ports
) -> Page[LogLine]:
    """Records that fit, newest first; who searched for what is recorded."""
    fields = ("subsystem", "method", "agreement_key", "code", "trace_id", "kind")
    asked = " ".join(f"{name}={value}" for name in fields if (value := getattr(search, name)))
    await look_into_log(account, address, asked, ports)
    return await ports.exchange.records(search, page)


@dataclass(frozen=True, slots=True)
class Proven:
    """A record of the log, what came of checking it, and with whose keys."""

    proof: Proof
    trust: Trust | None
    """None: there is no key to check it with."""


async def prove_record(index: int, account: Account, address: str, ports: Ports) -> Proven:
    """Fetch a record with its proof and check it here; who looked is recorded."""
    await look_into_log(account, address, f"#{index}", ports)
    bundle = await ports.exchange.bundle(index)
    try:
        trust = await ports.log_keys.trusted(bundle.origin, bundle.policy)
    except EvidenceError as error:
        return Proven(Proof(index, (Check("signature", str(error)),)), None)
    return Proven(prove(index, bundle.data, trust.policy), trust)


async def explain(index: int, account: Account, address: str, ports: Ports) -> Explanation:
    """Why the call of a record was decided as it was; who asked is recorded."""
    await look_into_log(account, address, f"#{index} ?", ports)
    return await ports.exchange.explain(index)


async def change_delivery(
    change: DeliveryChange, account: Account, address: str, language: Language, ports: Ports
) -> Action:
    """Hold, resume, replay or redeliver on behalf of an operator; the entry that tells how it ended."""
    deed = partial(ports.exchange.change, change, language)
    return await operate(change.act, change.target, account, address, language, ports, deed)


async def decide(
    decision: Decision, account: Account, address: str, language: Language, ports: Ports
) -> Action:
    """Decide on behalf of an operator, under the account's name; the entry that tells how it ended."""
    said = replace(decision, reason=masked(decision.reason))

    async def deed() -> None:
        if not said.reason and said.act is not Act.APPROVE_CHANGE:
            raise NoReason
        match said.act:
            case Act.APPROVE_CHANGE | Act.REFUSE_CHANGE:
                await ports.exchange.decide_change(said, account.user, language)
            case Act.ADMIT_MEMBER | Act.REFUSE_MEMBER:
                await ports.members.decide(said, account.user, language)
            case Act.REVOKE_CERTIFICATE:
                await ports.members.revoke(said, language)
            case _:
                raise ValueError(f"{said.act} is no decision")

    target = f"{said.key}: {said.reason}" if said.reason else said.key
    return await operate(said.act, target, account, address, language, ports, deed)
