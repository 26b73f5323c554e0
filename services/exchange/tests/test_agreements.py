"""Agreements: nothing is allowed that none in force allows, and a refusal says what is missing."""

from __future__ import annotations

from datetime import date

import pytest

from eldex.common.identifiers import RegionCode
from eldex.exchange.domain.agreements import (
    Agreement,
    NoAgreement,
    decide_events,
)

TODAY = date(2026, 11, 22)
REGISTRY = "/eldex.api.registry.v1.RegistryService"
POLICE = "member/police/household-registration"
PARTNER = "member/partner-500100/elder-care"
DECEASED = "eldex.api.registry.v1.ResidentDeceased"


def agreement(**changes: object) -> Agreement:
    facts: dict[str, object] = {
        "key": "police-registry",
        "subsystem": POLICE,
        "methods": [f"{REGISTRY}/*"],
        "purposes": ["residence-registration"],
        "legal_basis": "户口登记条例 第三条",
        "valid_from": date(2026, 1, 1),
        "version": 1,
    }
    return Agreement(**(facts | changes))  # type: ignore[arg-type]


def partnership() -> Agreement:
    return agreement(
        key="partner",
        subsystem=PARTNER,
        methods=[],
        event_types=[DECEASED],
        region_codes=[RegionCode("50")],
    )


def regions(*codes: str) -> list[RegionCode]:
    return [RegionCode.parse(code) for code in codes]


def test_a_partner_may_have_the_events_of_its_divisions_and_all_below_them() -> None:
    (scope,) = decide_events([partnership()], PARTNER, [], [], TODAY)
    assert scope.permits(DECEASED, regions("511702", "500101"))
    assert not scope.permits(DECEASED, regions("511702"))
    assert not scope.permits("eldex.api.registry.v1.ResidentRegistered", regions("500101"))


def test_what_a_partner_wants_narrows_its_right_and_never_widens_it() -> None:
    (scope,) = decide_events([partnership()], PARTNER, [DECEASED], regions("500101"), TODAY)
    assert scope.permits(DECEASED, regions("500101001"))
    assert not scope.permits(DECEASED, regions("500102"))
    with pytest.raises(NoAgreement):
        decide_events([partnership()], PARTNER, [], regions("511702"), TODAY)
    wanted = [DECEASED, "eldex.api.subsidies.v1.EntitlementGranted"]
    with pytest.raises(NoAgreement, match="EntitlementGranted"):
        decide_events([partnership()], PARTNER, wanted, [], TODAY)


def test_an_agreement_that_ended_ends_the_delivery() -> None:
    ended = partnership()
    ended.valid_to = TODAY
    with pytest.raises(NoAgreement):
        decide_events([ended], PARTNER, [], [], TODAY)
