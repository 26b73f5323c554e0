"""Schemes and parameters as messages."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from eldex.api.common.v1 import common_pb2
from eldex.api.subsidies.v1 import scheme_pb2 as pb
from eldex.api.subsidies.v1 import subsidies_service_pb2 as service_pb
from eldex.common.dates import day, optional_day, proto_day
from eldex.common.identifiers import RegionCode
from eldex.subsidies.domain.cycle import Redecision
from eldex.subsidies.domain.schemes import (
    AbilityLevel,
    BedClass,
    CarerGrade,
    CarerRule,
    Condition,
    ConditionKind,
    EligibilityClass,
    Grade,
    InstitutionKind,
    InstitutionRule,
    MonthlyRule,
    ParametersContradictory,
    ProfitNature,
    Scheme,
    Source,
    Version,
)
from eldex.subsidies.handlers.parameters import SetParameters
from eldex.subsidies.wire.enums import read, told


def source(found: Source | None) -> common_pb2.Source | None:
    """A document and its clause."""
    return common_pb2.Source(document=found.document, clause=found.clause) if found else None


def _source(message: common_pb2.Source) -> Source:
    return Source(message.document, message.clause)


def scheme(found: Scheme) -> pb.Scheme:
    """A scheme as replies show it."""
    return pb.Scheme(
        scheme_code=found.code,
        name_zh=found.name_zh,
        name_en=found.name_en,
        payee=told(found.payee),
        source=source(found.source),
    )


# --- parameters out ----------------------------------------------------------------------------


def parameters(
    scheme_code: str, region_code: RegionCode, version: Version, etag: str
) -> pb.Parameters:
    """A version as replies show it."""
    message = pb.Parameters(
        scheme_code=scheme_code,
        region_code=str(region_code),
        valid_from=proto_day(version.valid_from),
        valid_to=proto_day(version.valid_to),
        source=source(version.source),
        etag=etag,
    )
    if version.monthly is not None:
        message.monthly.CopyFrom(_monthly(version.monthly))
    if version.carer is not None:
        message.carer.CopyFrom(_carer(version.carer))
    if version.institution is not None:
        message.institution.CopyFrom(_institution(version.institution))
    return message


def _monthly(rule: MonthlyRule) -> pb.MonthlyRule:
    return pb.MonthlyRule(
        grades=[
            pb.Grade(
                code=grade.code,
                monthly_amount_fen=grade.monthly_fen,
                conditions=[_condition(c) for c in grade.conditions],
            )
            for grade in rule.grades
        ],
        conditions=[_condition(c) for c in rule.conditions],
        excluded_by_long_term_care=rule.excluded_by_long_term_care,
        offset_recoveries=rule.offset_recoveries,
    )


def _condition(condition: Condition) -> pb.Condition:
    message = pb.Condition(source=source(condition.source))
    match condition.kind:
        case ConditionKind.AGE_FROM:
            message.age_from = condition.age
        case ConditionKind.CLASS_ANY:
            message.class_any.classes.extend(told(each) for each in condition.classes)
        case ConditionKind.ABILITY_FROM:
            message.ability_from = told(condition.level)
    return message


def _carer(rule: CarerRule) -> pb.CarerRule:
    amounts = [
        pb.CarerAmount(grade=told(CarerGrade(grade)), amount_fen=fen)
        for grade, fen in rule.amounts_fen.items()
    ]
    return pb.CarerRule(amounts=amounts, years_in_post=rule.years_in_post)


def _institution(rule: InstitutionRule) -> pb.InstitutionRule:
    return pb.InstitutionRule(
        kinds=[told(kind) for kind in rule.kinds],
        natures=[told(nature) for nature in rule.natures],
        months_open=rule.months_open,
        bed_rates=[
            pb.BedRate(bed_class=told(BedClass(each)), monthly_amount_fen=fen)
            for each, fen in rule.bed_fen.items()
        ],
        unit_amount_fen=rule.unit_fen,
        fixed_amount_fen=rule.fixed_fen,
        recount_months=rule.recount_months,
    )


# --- parameters in -----------------------------------------------------------------------------


def set_parameters(request: service_pb.SetParametersRequest) -> SetParameters:
    """Read the request."""
    message = request.parameters
    return SetParameters(
        message.scheme_code,
        RegionCode.parse(message.region_code),
        version(message),
        request.etag,
    )


def version(message: pb.Parameters) -> Version:
    """Read a version."""
    rule = message.WhichOneof("rule")
    return Version(
        valid_from=day(message.valid_from, "parameters.valid_from"),
        source=_source(message.source),
        valid_to=optional_day(message.valid_to, "parameters.valid_to"),
        monthly=_read_monthly(message.monthly) if rule == "monthly" else None,
        carer=_read_carer(message.carer) if rule == "carer" else None,
        institution=_read_institution(message.institution) if rule == "institution" else None,
    )


def _read_monthly(message: pb.MonthlyRule) -> MonthlyRule:
    return MonthlyRule(
        grades=tuple(
            Grade(g.code, g.monthly_amount_fen, tuple(_read_condition(c) for c in g.conditions))
            for g in message.grades
        ),
        conditions=tuple(_read_condition(c) for c in message.conditions),
        excluded_by_long_term_care=message.excluded_by_long_term_care,
        offset_recoveries=message.offset_recoveries,
    )


def _read_condition(message: pb.Condition) -> Condition:
    where = _source(message.source) if message.HasField("source") else None
    if message.WhichOneof("asks") == "age_from":
        return Condition(ConditionKind.AGE_FROM, age=message.age_from, source=where)
    if message.WhichOneof("asks") == "class_any":
        classes = tuple(read(EligibilityClass, c, "classes") for c in message.class_any.classes)
        return Condition(ConditionKind.CLASS_ANY, classes=classes, source=where)
    level = read(AbilityLevel, message.ability_from, "ability_from")
    return Condition(ConditionKind.ABILITY_FROM, level=level, source=where)


def _read_carer(message: pb.CarerRule) -> CarerRule:
    amounts = [(read(CarerGrade, a.grade, "grade"), a.amount_fen) for a in message.amounts]
    return CarerRule(_by_value(amounts), message.years_in_post)


def _by_value(amounts: Sequence[tuple[Enum, int]]) -> dict[str, int]:
    """Amounts by grade or class; of two for the same one nobody could tell which is meant."""
    found = {each.value: fen for each, fen in amounts}
    if len(found) != len(amounts):
        raise ParametersContradictory(
            why_zh="同一等级或床位类别有两个金额", why="two amounts for the same grade or bed class"
        )
    return found


def _read_institution(message: pb.InstitutionRule) -> InstitutionRule:
    return InstitutionRule(
        kinds=tuple(read(InstitutionKind, each, "kinds") for each in message.kinds),
        natures=tuple(read(ProfitNature, each, "natures") for each in message.natures),
        months_open=message.months_open,
        bed_fen=_by_value(
            [
                (read(BedClass, rate.bed_class, "bed_rates"), rate.monthly_amount_fen)
                for rate in message.bed_rates
            ]
        ),
        unit_fen=message.unit_amount_fen,
        fixed_fen=message.fixed_amount_fen,
        recount_months=message.recount_months or 12,
    )


def redecision(found: Redecision) -> pb.Redecision:
    """How far it is to decide everybody anew."""
    return pb.Redecision(
        redecision_key=found.key,
        scheme_code=found.scheme_code,
        region_code=str(found.region_code),
        decided=found.decided,
        finished=found.finished_at is not None,
    )
