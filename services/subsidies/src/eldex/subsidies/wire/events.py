"""Domain events as the messages that others read."""

from __future__ import annotations

from typing import Any, assert_never

from google.protobuf.message import Message

from eldex.api.subsidies.v1 import entitlement_events_pb2 as pb
from eldex.api.subsidies.v1 import institution_subsidy_events_pb2 as institution_pb
from eldex.common.dates import proto_day
from eldex.subsidies.domain import events
from eldex.subsidies.wire.enums import told

Event = (
    events.EntitlementGranted
    | events.EntitlementAmountChanged
    | events.EntitlementStopped
    | events.EntitlementResumed
    | events.EntitlementEnded
    | events.DisbursementMade
    | events.RecoveryOpened
    | events.RecoverySettled
    | events.InstitutionSubsidyGranted
    | events.InstitutionSubsidyStopped
    | events.InstitutionSubsidyResumed
    | events.InstitutionSubsidyPaid
    | events.InstitutionRecoveryOpened
    | events.InstitutionRecoverySettled
)


def event(fact: Event) -> Message:
    """The contract's message of a domain event."""
    if isinstance(fact, events.InstitutionFact):
        return _of_institution(fact)
    return _of_person(fact)


def _of_person(fact: Any) -> Message:
    common: dict[str, str] = {
        "resident_key": fact.resident_key,
        "entitlement_key": fact.entitlement_key,
        "scheme_code": fact.scheme_code,
        "region_code": str(fact.region_code),
        "hukou_region_code": str(fact.hukou_region_code or ""),
    }
    match fact:
        case events.EntitlementGranted():
            return pb.EntitlementGranted(
                **common,
                began_on=proto_day(fact.began_on),
                monthly_amount_fen=fact.monthly_amount_fen,
                reasons=fact.reasons,
                one_off_amount_fen=fact.one_off_amount_fen,
            )
        case events.EntitlementAmountChanged():
            return pb.EntitlementAmountChanged(
                **common,
                changed_on=proto_day(fact.changed_on),
                monthly_amount_fen=fact.monthly_amount_fen,
                cause=told(fact.cause),
            )
        case events.EntitlementStopped():
            return pb.EntitlementStopped(
                **common, stopped_on=proto_day(fact.stopped_on), cause=told(fact.cause)
            )
        case events.EntitlementResumed():
            return pb.EntitlementResumed(**common, resumed_on=proto_day(fact.resumed_on))
        case events.EntitlementEnded():
            return pb.EntitlementEnded(
                **common, ended_on=proto_day(fact.ended_on), cause=told(fact.cause)
            )
    return _of_money(fact, common)


def _of_money(fact: Any, common: dict[str, str]) -> Message:
    match fact:
        case events.DisbursementMade():
            return pb.DisbursementMade(
                **common,
                disbursement_key=fact.disbursement_key,
                month=proto_day(fact.month),
                amount_fen=fact.amount_fen,
                arrears_fen=fact.arrears_fen,
                offset_fen=fact.offset_fen,
            )
        case events.RecoveryOpened():
            return pb.RecoveryOpened(
                **common,
                recovery_key=fact.recovery_key,
                amount_fen=fact.amount_fen,
                cause=told(fact.cause),
            )
        case events.RecoverySettled():
            return pb.RecoverySettled(
                **common,
                recovery_key=fact.recovery_key,
                repaid_fen=fact.repaid_fen,
                written_off_fen=fact.written_off_fen,
                withdrawn_fen=fact.withdrawn_fen,
            )
    raise TypeError(f"no message tells a {type(fact).__name__}")


def _of_institution(
    fact: events.InstitutionSubsidyGranted
    | events.InstitutionSubsidyStopped
    | events.InstitutionSubsidyResumed
    | events.InstitutionSubsidyPaid
    | events.InstitutionRecoveryOpened
    | events.InstitutionRecoverySettled,
) -> Message:
    common: dict[str, str] = {
        "institution_key": fact.institution_key,
        "grant_key": fact.grant_key,
        "scheme_code": fact.scheme_code,
        "region_code": str(fact.region_code),
    }
    match fact:
        case events.InstitutionSubsidyGranted():
            return institution_pb.InstitutionSubsidyGranted(
                **common, began_on=proto_day(fact.began_on)
            )
        case events.InstitutionSubsidyStopped():
            return institution_pb.InstitutionSubsidyStopped(
                **common, stopped_on=proto_day(fact.stopped_on), cause=told(fact.cause)
            )
        case events.InstitutionSubsidyResumed():
            return institution_pb.InstitutionSubsidyResumed(
                **common, resumed_on=proto_day(fact.resumed_on)
            )
        case events.InstitutionSubsidyPaid():
            return institution_pb.InstitutionSubsidyPaid(
                **common,
                disbursement_key=fact.disbursement_key,
                month=proto_day(fact.month),
                occupied_bed_days=fact.occupied_bed_days,
                amount_fen=fact.amount_fen,
                offset_fen=fact.offset_fen,
            )
        case events.InstitutionRecoveryOpened():
            return institution_pb.InstitutionRecoveryOpened(
                **common,
                recovery_key=fact.recovery_key,
                amount_fen=fact.amount_fen,
                cause=told(fact.cause),
            )
        case events.InstitutionRecoverySettled():
            return institution_pb.InstitutionRecoverySettled(
                **common,
                recovery_key=fact.recovery_key,
                repaid_fen=fact.repaid_fen,
                written_off_fen=fact.written_off_fen,
            )
        case _:
            assert_never(fact)
