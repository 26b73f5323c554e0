"""Cycles, payments and recoveries as messages."""

from __future__ import annotations

from eldex.api.subsidies.v1 import payment_pb2 as pb
from eldex.common.dates import proto_day, proto_instant
from eldex.subsidies.domain.cycle import Cycle
from eldex.subsidies.domain.days import period_of
from eldex.subsidies.domain.entitlement import Disbursement
from eldex.subsidies.domain.recovery import Recovery
from eldex.subsidies.wire.enums import told


def cycle(found: Cycle) -> pb.Cycle:
    """A cycle as replies show it."""
    return pb.Cycle(
        cycle_key=found.key,
        month=proto_day(period_of(found.month).began_on),
        region_code=str(found.region_code),
        state=told(found.state),
        looked_at=found.looked_at,
        payments=found.payments,
        amount_fen=found.amount_fen,
        began_at=proto_instant(found.began_at),
        finished_at=proto_instant(found.finished_at),
        etag=found.etag,
    )


def _lines(lines_fen: dict[str, int]) -> list[pb.DisbursementLine]:
    return [
        pb.DisbursementLine(month=proto_day(period_of(month).began_on), amount_fen=fen)
        for month, fen in sorted(lines_fen.items())
    ]


def disbursement(found: Disbursement) -> pb.Disbursement:
    """A payment as replies show it."""
    return pb.Disbursement(
        disbursement_key=found.key,
        entitlement_key=found.entitlement_key,
        payee_key=found.payee_key,
        scheme_code=found.scheme_code,
        region_code=str(found.payer),
        cycle_key=found.cycle_key,
        month=proto_day(period_of(found.month).began_on),
        lines=_lines(found.lines_fen),
        offset_fen=found.offset_fen,
        amount_fen=found.amount_fen,
        bed_days=found.bed_days,
        documents=found.documents,
    )


def recovery(found: Recovery) -> pb.Recovery:
    """A recovery as replies show it."""
    return pb.Recovery(
        recovery_key=found.key,
        entitlement_key=found.entitlement_key,
        resident_key=found.resident_key,
        institution_key=found.institution_key,
        scheme_code=found.scheme_code,
        region_code=str(found.payer),
        cause=told(found.cause),
        opened_on=proto_day(found.opened_on),
        amount_fen=found.amount_fen,
        outstanding_fen=found.outstanding_fen,
        withdrawn_fen=found.withdrawn_fen,
        repayments=[
            pb.Repayment(
                repaid_on=proto_day(each.on),
                amount_fen=each.amount_fen,
                reference=each.reference,
                written_off=each.written_off,
            )
            for each in found.repayments
        ],
        lines=_lines(found.lines_fen),
        status=told(found.status),
        etag=found.etag,
    )
