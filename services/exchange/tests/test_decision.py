"""The decision: nothing is allowed that no agreement allows, and Cedar says the same as the house."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date, timedelta

import pytest

from eldex.common.errors import DomainError
from eldex.common.identifiers import RegionCode
from eldex.exchange.domain.agreements import Agreement, FieldGrant, NoAgreement, PurposeTerms
from eldex.exchange.domain.decision import (
    Condition,
    PlainJudge,
    Question,
    check_purpose,
    decide,
)
from eldex.exchange.rpc.cedar import AgreedJudge, CedarJudge

TODAY = date(2026, 11, 22)
CITY, OTHER_CITY = RegionCode("5117"), RegionCode("50")
REGISTRY = "/eldex.api.registry.v1.RegistryService"
GET = f"{REGISTRY}/GetResident"
HEALTH = "member/health/assessment"


def agreement(**changes: object) -> Agreement:
    facts: dict[str, object] = {
        "key": "health-assessment",
        "subsystem": HEALTH,
        "methods": [f"{REGISTRY}/*"],
        "purposes": ["ability-assessment", "home-care"],
        "legal_basis": "GB/T 42195-2022",
        "valid_from": date(2026, 1, 1),
        "version": 1,
    }
    return Agreement(**(facts | changes))  # type: ignore[arg-type]


def question(**changes: object) -> Question:
    asked = Question(
        subsystem=HEALTH,
        caller_region=CITY,
        home=CITY,
        method=GET,
        purpose="ability-assessment",
        on=TODAY,
    )
    return replace(asked, **changes)  # type: ignore[arg-type]


def refused(*agreements: Agreement, **changes: object) -> NoAgreement:
    with pytest.raises(NoAgreement) as caught:
        decide(PlainJudge(), agreements, question(**changes))
    return caught.value


def test_without_an_agreement_nothing_is_allowed_and_the_refusal_says_how_to_ask() -> None:
    refusal = refused()
    assert "no agreement covers this call" in str(refusal)
    assert "CatalogueService/RequestAccess" in refusal.message("en")
    assert "CatalogueService/RequestAccess" in refusal.message("zh")


def test_the_refusal_names_the_right_that_the_closest_agreement_lacks() -> None:
    far = agreement(key="far", methods=["/x.Y/Z"])
    near = agreement(key="near", valid_to=TODAY)
    refusal = refused(far, near)
    assert refusal.facts["right"] == "IN_FORCE"
    assert "near is not in force" in refusal.message("en")


def test_a_partner_citys_member_of_the_same_name_is_another_member() -> None:
    # 500100/member/health/assessment is not 511700/member/health/assessment.
    assert refused(agreement(), caller_region=OTHER_CITY).facts["right"] == "CALLER_REGION"
    shared = agreement(caller_regions=[OTHER_CITY])
    assert decide(PlainJudge(), [shared], question(caller_region=OTHER_CITY)) == [shared]
    assert refused(shared).facts["right"] == "CALLER_REGION"


def test_each_purpose_has_its_own_basis_and_its_own_need_of_consent() -> None:
    with_terms = agreement(
        purpose_terms=[
            PurposeTerms("home-care", "个人信息保护法 第二十九条", requires_consent=True)
        ]
    )
    assert with_terms.terms("ability-assessment").legal_basis == "GB/T 42195-2022"
    assert with_terms.terms("home-care").legal_basis == "个人信息保护法 第二十九条"
    assert decide(PlainJudge(), [with_terms], question(consented=False)) == [with_terms]
    refusal = refused(with_terms, purpose="home-care", consented=False)
    assert refusal.facts["right"] == "CONSENT"


def test_an_emergency_sets_place_and_consent_aside_where_the_agreement_permits_it_and_no_more() -> (
    None
):
    strict = agreement(
        purpose_terms=[PurposeTerms("ability-assessment", requires_consent=True)],
        subject_regions=[RegionCode("511702")],
        checks_subjects=True,
    )
    nobody_passes = {"consented": False, "subjects_within": False}
    assert refused(strict, **nobody_passes, break_glass=True).facts["right"] == "BREAK_GLASS"
    emergency = replace(strict, permits_break_glass=True)
    assert refused(emergency, **nobody_passes).facts["right"] == "SUBJECT_REGION"
    allowed = decide(PlainJudge(), [emergency], question(**nobody_passes, break_glass=True))
    assert allowed == [emergency]
    for changes in ({"purpose": "marketing"}, {"method": "/x.Y/Z"}, {"caller_region": OTHER_CITY}):
        refused(emergency, **nobody_passes, break_glass=True, **changes)


def test_grants_that_name_no_field_of_a_method_refuse_the_method() -> None:
    granting = agreement(field_grants=[FieldGrant(GET, ("resident.name",), ("resident_key",))])
    assert decide(PlainJudge(), [granting], question()) == [granting]
    assert refused(granting, method=f"{REGISTRY}/ListResidents").facts["right"] == "FIELDS"


@pytest.mark.parametrize(
    ("valid_from", "valid_to", "allowed"),
    [
        (date(2026, 11, 22), None, True),
        (date(2026, 11, 23), None, False),
        (date(2026, 1, 1), date(2026, 11, 22), False),
        (date(2026, 1, 1), date(2026, 11, 23), True),
    ],
)
def test_an_agreement_holds_from_its_first_day_until_before_its_last(
    valid_from: date, valid_to: date | None, allowed: bool
) -> None:
    dated = agreement(valid_from=valid_from, valid_to=valid_to)
    if allowed:
        assert decide(PlainJudge(), [dated], question()) == [dated]
    else:
        assert "health-assessment is not in force" in refused(dated).message("en")


def test_another_purpose_is_another_right() -> None:
    assert "not for the purpose marketing" in refused(agreement(), purpose="marketing").message(
        "en"
    )


def test_an_agreement_that_rests_allows_nothing() -> None:
    assert refused(agreement(suspended=True)).facts["right"] == "IN_FORCE"


@pytest.mark.parametrize("purpose", ["", "Marketing", "a b", "x" * 65, "用途", "a\r\nx", "-x"])
def test_a_purpose_is_a_code(purpose: str) -> None:
    with pytest.raises(DomainError) as caught:
        check_purpose(purpose)
    assert caught.value.reason in {"PURPOSE_REQUIRED", "PURPOSE_INVALID"}
    assert not purpose or purpose not in caught.value.message("en")


# --- Cedar and the house -------------------------------------------------------------------------

METHODS = [GET, f"{REGISTRY}/ListResidents", f"{REGISTRY}/*", "/x.Y/Z", "/x.Y/*"]
PURPOSES = ["ability-assessment", "home-care", "marketing"]
SUBSYSTEMS = [HEALTH, "member/police/household-registration"]
REGIONS = [RegionCode(code) for code in ("51", "5117", "511702", "50")]


def some_agreement(pick: random.Random, number: int) -> Agreement:
    def some(options: list[object], most: int = 3) -> list[object]:
        return pick.sample(options, pick.randint(0, min(most, len(options))))

    start = TODAY + timedelta(days=pick.choice([-400, -1, 0, 1]))
    return agreement(
        key=f"agreement-{number}",
        version=pick.randint(1, 5),
        subsystem=pick.choice(SUBSYSTEMS),
        methods=some(list(METHODS)),
        purposes=some(list(PURPOSES)),
        valid_from=start,
        valid_to=pick.choice([None, start, TODAY, TODAY + timedelta(days=1)]),
        suspended=pick.random() < 0.1,
        caller_regions=some(list(REGIONS), 2),
        subject_regions=some(list(REGIONS), 1),
        checks_subjects=pick.random() < 0.5,
        permits_break_glass=pick.random() < 0.5,
        purpose_terms=[
            PurposeTerms(purpose, requires_consent=pick.random() < 0.5)
            for purpose in PURPOSES
            if pick.random() < 0.5
        ],
        field_grants=[FieldGrant(m, ("*",)) for m in METHODS if pick.random() < 0.3],
    )


def some_question(pick: random.Random) -> Question:
    return Question(
        subsystem=pick.choice(SUBSYSTEMS),
        caller_region=pick.choice(REGIONS),
        home=pick.choice(REGIONS),
        method=pick.choice([m for m in METHODS if not m.endswith("*")]),
        purpose=pick.choice(PURPOSES),
        on=TODAY + timedelta(days=pick.choice([-1, 0, 1])),
        subjects_within=pick.random() < 0.5,
        consented=pick.random() < 0.5,
        break_glass=pick.random() < 0.4,
    )


@pytest.mark.parametrize("seed", range(4))
def test_cedar_finds_the_same_conditions_missing_as_the_house_does(seed: int) -> None:
    pick, plain, cedar = random.Random(seed), PlainJudge(), CedarJudge()
    allowed = 0
    missing: set[Condition] = set()
    for number in range(120):
        made = some_agreement(pick, number)
        for _ in range(4):
            asked = some_question(pick)
            expected = plain.unmet(made, asked)
            assert cedar.unmet(made, asked) == expected, (made, asked)
            allowed += not expected
            missing |= expected
        near = replace(
            question(), subsystem=made.subsystem, caller_region=(made.caller_regions or [CITY])[0]
        )
        assert cedar.unmet(made, near) == plain.unmet(made, near)
        allowed += not plain.unmet(made, near)
    assert missing == set(Condition)
    assert allowed > 0


def test_where_the_judges_differ_nothing_is_allowed() -> None:
    class Generous:
        def unmet(self, agreement: Agreement, question: Question) -> frozenset[Condition]:  # noqa: ARG002
            return frozenset()

    both = AgreedJudge(Generous())
    assert both.unmet(agreement(suspended=True), question()) == {Condition.IN_FORCE}
    reverse = AgreedJudge(CedarJudge(), Generous())
    assert reverse.unmet(agreement(suspended=True), question()) == {Condition.IN_FORCE}


def test_a_new_version_is_judged_anew() -> None:
    judge = AgreedJudge(CedarJudge())
    assert not judge.unmet(agreement(), question())
    assert judge.unmet(agreement(version=2, suspended=True), question()) == {Condition.IN_FORCE}
    assert not judge.unmet(agreement(), question())
