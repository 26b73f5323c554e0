"""Policy numbers and prices on the wire, and the ones that come with the service."""

from __future__ import annotations

from datetime import date
from importlib.resources import files
from itertools import pairwise

from google.protobuf import json_format

from eldex.api.common.v1 import common_pb2
from eldex.api.institutions.v1 import filing_calls_pb2 as pb
from eldex.api.institutions.v1 import parameter_pb2
from eldex.common.dates import day, optional_day, proto_day
from eldex.common.errors import InvalidRequest, Language, Violation
from eldex.common.identifiers import RegionCode
from eldex.common.money import yuan
from eldex.institutions.domain.grading import GradingRule, Threshold
from eldex.institutions.domain.parameters import (
    ClosureNotice,
    Grading,
    HazardDeadline,
    LocalIncome,
    MarketPrice,
    Parameter,
    PriceRule,
    Source,
    Value,
)
from eldex.institutions.domain.price import PriceBase, PriceTest, PriceVerdict
from eldex.institutions.handlers.parameters import CheckPrice
from eldex.institutions.wire.codes import CLASSES, HAZARDS, SEVERITIES
from eldex.institutions.wire.supervision import points, points_message


def seeds() -> list[Parameter]:
    """The parameters that come with the service, each with its document: `parameters.json`."""
    text = (files("eldex.institutions") / "parameters.json").read_text("utf-8")
    request = json_format.Parse(text, pb.SetParametersRequest())
    return [parameter(each) for each in request.parameters]


def parameter(message: parameter_pb2.Parameter) -> Parameter:
    """Read a parameter."""
    return Parameter(
        key="",
        region_code=RegionCode.parse(message.region_code) if message.region_code else None,
        valid_from=day(message.valid_from, "valid_from"),
        valid_to=optional_day(message.valid_to, "valid_to"),
        source=Source(message.source.document, message.source.clause),
        value=_value(message),
    )


def _value(message: parameter_pb2.Parameter) -> Value:
    match message.WhichOneof("value"):
        case "price_rule":
            rule = message.price_rule
            return PriceRule(rule.income_percent, rule.market_percent, rule.market_target_percent)
        case "local_income":
            return LocalIncome(message.local_income.yearly_income_fen)
        case "market_price":
            price = message.market_price
            return MarketPrice(CLASSES.read(price.bed_class), price.monthly_price_fen)
        case "grading_rule":
            return Grading(_grading(message.grading_rule))
        case "hazard_deadline":
            term = message.hazard_deadline
            return HazardDeadline(
                HAZARDS.read(term.hazard_class), SEVERITIES.read(term.severity), term.working_days
            )
        case _:
            return ClosureNotice(message.closure_notice.notice_days)


def _grading(message: parameter_pb2.GradingRule) -> GradingRule:
    thresholds = [Threshold(t.grade, t.points, t.part_percent) for t in message.thresholds]
    thresholds.sort(key=lambda threshold: threshold.grade)
    for lower, higher in pairwise(thresholds):
        if (
            lower.grade == higher.grade
            or lower.points > higher.points
            or lower.part_percent > higher.part_percent
        ):
            raise InvalidRequest(
                Violation(
                    "grading_rule.thresholds",
                    f"等级 {higher.grade} 重复，或要求低于等级 {lower.grade}",
                    f"grade {higher.grade} is told twice, or asks for less than {lower.grade}",
                    "THRESHOLDS_CONTRADICT",
                )
            )
    return GradingRule(points(message.maxima), tuple(thresholds), message.validity_months)


def parameter_message(found: Parameter) -> parameter_pb2.Parameter:
    """A parameter as replies show it."""
    message = parameter_pb2.Parameter(
        parameter_key=found.key,
        region_code=str(found.region_code or ""),
        valid_from=proto_day(found.valid_from),
        valid_to=proto_day(found.valid_to),
        source=_source(found.source),
    )
    match found.value:
        case PriceRule() as rule:
            message.price_rule.income_percent = rule.income_percent
            message.price_rule.market_percent = rule.market_percent
            message.price_rule.market_target_percent = rule.market_target_percent
        case LocalIncome() as income:
            message.local_income.yearly_income_fen = income.yearly_income_fen
        case MarketPrice() as price:
            message.market_price.bed_class = CLASSES.write(price.bed_class)
            message.market_price.monthly_price_fen = price.monthly_price_fen
        case Grading() as grading:
            message.grading_rule.CopyFrom(_grading_message(grading.rule))
        case HazardDeadline() as term:
            message.hazard_deadline.hazard_class = HAZARDS.write(term.hazard_class)
            message.hazard_deadline.severity = SEVERITIES.write(term.severity)
            message.hazard_deadline.working_days = term.working_days
        case ClosureNotice() as notice:
            message.closure_notice.notice_days = notice.notice_days
    return message


def _grading_message(rule: GradingRule) -> parameter_pb2.GradingRule:
    return parameter_pb2.GradingRule(
        maxima=points_message(rule.maxima),
        thresholds=[
            parameter_pb2.GradeThreshold(
                grade=each.grade, points=each.points, part_percent=each.part_percent
            )
            for each in rule.thresholds
        ],
        validity_months=rule.validity_months,
    )


def _source(found: Source) -> common_pb2.Source:
    return common_pb2.Source(document=found.document, clause=found.clause)


def check_price(request: pb.CheckPriceRequest, today: date) -> CheckPrice:
    """Read the request."""
    return CheckPrice(
        request.institution_key,
        CLASSES.read(request.bed_class),
        request.monthly_price_fen,
        optional_day(request.on, "on") or today,
    )


def verdict(found: PriceVerdict, price_fen: int, language: Language) -> pb.CheckPriceResponse:
    """The rule, applied, in sentences an official can act on."""
    return pb.CheckPriceResponse(
        applies=found.applies,
        allowed=found.allowed,
        tests=[_test(test, price_fen, language) for test in found.tests],
        target=_test(found.target, price_fen, language) if found.target else None,
    )


_BASES = {
    PriceBase.INCOME: ("当地城镇居民月人均可支配收入", "the local monthly disposable income"),
    PriceBase.MARKET: ("市场化养老机构月价格", "the monthly price of market institutions"),
}


def _test(test: PriceTest, price_fen: int, language: Language) -> parameter_pb2.PriceTest:
    base_zh, base = _BASES[test.base]
    price, ceiling, amount = yuan(price_fen), yuan(test.ceiling_fen), yuan(test.base_fen)
    zh = (
        f"月收费 {price} 元{'未超过' if test.passed else '超过'}{base_zh} {amount} 元的"
        f" {test.percent}%，即 {ceiling} 元"
    )
    en = (
        f"a month's charge of {price} yuan is {'within' if test.passed else 'above'}"
        f" {test.percent} % of {base} ({amount} yuan): {ceiling} yuan"
    )
    return parameter_pb2.PriceTest(
        base_fen=test.base_fen,
        percent=test.percent,
        ceiling_fen=test.ceiling_fen,
        passed=test.passed,
        rule_source=_source(test.rule_source),
        base_source=_source(test.base_source),
        explanation=zh if language == "zh" else en,
    )
