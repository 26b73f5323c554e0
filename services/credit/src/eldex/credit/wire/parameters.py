"""Grounds and deadlines."""

from __future__ import annotations

from eldex.api.credit.v1 import credit_service_pb2 as pb
from eldex.api.credit.v1 import parameters_pb2
from eldex.common.dates import day, proto_day
from eldex.credit.domain.parameters import COUNTRY, Deadline, Ground
from eldex.credit.handlers import parameters as handlers
from eldex.credit.wire.terms import (
    BENEFITS,
    COLOURS,
    DEADLINES,
    MEASURES,
    SUBJECT_KINDS,
    proto_source,
    scope,
    source,
)


def set_parameters(request: pb.SetParametersRequest) -> handlers.SetParameters:
    """Read the request; the division told inside a rule is output only and ignored."""
    return handlers.SetParameters(
        scope(request.region_code),
        [
            _deadline(message, f"deadlines[{i}].effective_from")
            for i, message in enumerate(request.deadlines)
        ],
        [
            _ground(message, f"grounds[{i}].effective_from")
            for i, message in enumerate(request.grounds)
        ],
        request.etag,
    )


def _deadline(message: parameters_pb2.Deadline, field: str) -> Deadline:
    return Deadline(
        name=DEADLINES.member(message.name),
        working_days=message.working_days,
        effective_from=day(message.effective_from, field),
        source=source(message.source),
        verified=message.verified,
        repealed=message.repealed,
    )


def _ground(message: parameters_pb2.Ground, field: str) -> Ground:
    return Ground(
        code=message.code,
        colour=COLOURS.member(message.colour),
        applies_to=tuple(SUBJECT_KINDS.member(kind) for kind in message.applies_to),
        zh=message.zh,
        en=message.en,
        measures=tuple(MEASURES.member(measure) for measure in message.measures),
        benefits=tuple(BENEFITS.member(benefit) for benefit in message.benefits),
        term_months=message.term_months,
        repairable=message.repairable,
        repair_after_months=message.repair_after_months,
        effective_from=day(message.effective_from, field),
        source=source(message.source),
        verified=message.verified,
        repealed=message.repealed,
    )


def parameters(found: handlers.Effective) -> parameters_pb2.Parameters:
    """What counts in a division, for a reply."""
    return parameters_pb2.Parameters(
        region_code=str(found.region_code) if found.region_code else COUNTRY,
        deadlines=[
            parameters_pb2.Deadline(
                name=DEADLINES.number(rule.name),
                working_days=rule.working_days,
                effective_from=proto_day(rule.effective_from),
                source=proto_source(rule.source),
                verified=rule.verified,
                repealed=rule.repealed,
                region_code=where,
            )
            for where, rule in found.deadlines
        ],
        grounds=[
            parameters_pb2.Ground(
                code=rule.code,
                colour=COLOURS.number(rule.colour),
                applies_to=[SUBJECT_KINDS.number(kind) for kind in rule.applies_to],
                zh=rule.zh,
                en=rule.en,
                measures=[MEASURES.number(measure) for measure in rule.measures],
                benefits=[BENEFITS.number(benefit) for benefit in rule.benefits],
                term_months=rule.term_months,
                repairable=rule.repairable,
                repair_after_months=rule.repair_after_months,
                effective_from=proto_day(rule.effective_from),
                source=proto_source(rule.source),
                verified=rule.verified,
                repealed=rule.repealed,
                region_code=where,
            )
            for where, rule in found.grounds
        ],
        etag=found.own.etag,
    )
