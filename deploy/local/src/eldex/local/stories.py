"""The four stories that the demo plays and `tests/integration` looks into more closely.

Each does what departments do, through the exchange, and waits for the effects elsewhere; it raises
`TimeoutError` naming the effect that was not seen.
"""

from __future__ import annotations

import time
from typing import Any, Protocol

from google.protobuf.message import Message

from eldex.api.credit.v1 import credit_events_pb2, listing_pb2
from eldex.api.credit.v1 import credit_service_pb2 as credit_pb
from eldex.api.institutions.v1 import bed_events_pb2, institution_events_pb2
from eldex.api.medical.v1 import care_pb2, enrolment_pb2, medical_events_pb2
from eldex.api.medical.v1 import medical_service_pb2 as medical_pb
from eldex.api.registry.v1 import assessment_pb2, eligibility_pb2, resident_events_pb2
from eldex.api.registry.v1 import registry_service_pb2 as registry_pb
from eldex.api.subsidies.v1 import entitlement_events_pb2, institution_subsidy_events_pb2
from eldex.local import acts
from eldex.local.acts import Home, on
from eldex.local.field import Field, Refused, Seen, Told

OLD_AGE = "old-age-allowance"
CARE = "care-allowance"
Effects = tuple[tuple[str, type[Message], str], ...]
"""Department, the event that shows it acted, in words."""


class Narrator(Protocol):
    """Whoever tells the story while it happens."""

    def begin(self, title: str, title_zh: str) -> None:
        """A story begins."""

    def act(self, who: str, what: str, told: Told) -> None:
        """A department did something."""

    def effect(self, where: str, what: str, seen: Seen, since: float) -> None:
        """Something followed, so long after `since` (`time.perf_counter()`)."""

    def remark(self, text: str) -> None:
        """Something else worth saying."""


class Silent:
    """Says nothing; for tests."""

    def begin(self, title: str, title_zh: str) -> None:
        """Say nothing."""

    def act(self, who: str, what: str, told: Told) -> None:
        """Say nothing."""

    def effect(self, where: str, what: str, seen: Seen, since: float) -> None:
        """Say nothing."""

    def remark(self, text: str) -> None:
        """Say nothing."""


async def death_stops_payments(field: Field, tell: Narrator) -> tuple[str, str]:
    """Story 1; the resident's key and the trace of the notice."""
    tell.begin("A death stops payments", "死亡登记，各部门即时停发")
    see = field.watcher
    key, told = await acts.enter_resident(
        field, name="王秀英", born_on="1941-03-08", hukou_region_code=acts.PARTNER_REGION
    )
    tell.act("police", "register 王秀英, 85, household registration in the partner city", told)
    granted = await see.until(
        entitlement_events_pb2.EntitlementGranted, resident_key=key, scheme_code=OLD_AGE
    )
    tell.remark(f"subsidies found her {OLD_AGE}: {granted.message.monthly_amount_fen} fen a month")
    tell.act("medical insurance", "enrol her", await acts.insure(field, key))
    home = await acts.open_home(field, name="福寿养老院")
    tell.act(
        "civil affairs", "admit her", await acts.admit(field, key, home.bed_keys[0], "2026-01-05")
    )
    began = time.perf_counter()
    told = await acts.register_death(field, key, "2026-11-01")
    tell.act("police", "register her death, 1 November", told)
    effects: Effects = (
        ("subsidies", entitlement_events_pb2.EntitlementEnded, "entitlement ended"),
        ("medical", medical_events_pb2.EnrolmentEnded, "insurance ended"),
        ("institutions", bed_events_pb2.BedReleased, "bed released"),
    )
    for where, kind, what in effects:
        seen = await see.until(kind, resident_key=key)
        _same_trace(seen, told)
        tell.effect(where, what, seen, began)
    seen = await field.partner.until(resident_events_pb2.ResidentDeceased, resident_key=key)
    tell.effect("partner city", "told by its subscription", seen, began)
    return key, told.trace_id


def _same_trace(seen: Seen, told: Told) -> None:
    if seen.trace_id != told.trace_id:
        raise AssertionError(
            f"{seen.delivered.event_type} is in trace {seen.trace_id}, not in {told.trace_id}"
        )


async def move_changes_the_amount(field: Field, tell: Narrator) -> tuple[str, str]:
    """Story 2; the resident's key and the trace of the move."""
    tell.begin("A resident moves to another county", "居民跨县迁移，补贴随人走")
    see = field.watcher
    key, told = await acts.enter_resident(field, name="李桂芳", born_on="1938-06-20")
    tell.act("police", "register 李桂芳, 88, in 通川区", told)
    first = await see.until(
        entitlement_events_pb2.EntitlementGranted, resident_key=key, scheme_code=OLD_AGE
    )
    tell.remark(f"通川区 pays {first.message.monthly_amount_fen} fen a month")
    began = time.perf_counter()
    told = await field["police"].ask(
        "RegistryService/MoveResident",
        registry_pb.MoveResidentRequest(
            resident_key=key, region_code="511723", moved_on=on("2026-10-16")
        ),
    )
    tell.act("police", "she lives in 开江县 since 16 October", told)
    ended = await see.until(entitlement_events_pb2.EntitlementEnded, resident_key=key)
    tell.effect("subsidies", f"通川区 pays until {_day(ended.message.ended_on)}", ended, began)
    second = await see.until(
        entitlement_events_pb2.EntitlementGranted, count=2, resident_key=key, scheme_code=OLD_AGE
    )
    tell.effect(
        "subsidies",
        f"开江县 pays {second.message.monthly_amount_fen} fen a month from "
        f"{_day(second.message.began_on)}",
        second,
        began,
    )
    if ended.message.ended_on != second.message.began_on:
        raise AssertionError("a day would be paid twice or missed")
    return key, told.trace_id


def _day(day: Any) -> str:
    return f"{day.year}-{day.month:02d}-{day.day:02d}"


async def assessment_finds_the_allowance(field: Field, tell: Narrator) -> tuple[str, str]:
    """Story 3; the resident's key and the trace of the assessment."""
    tell.begin("An assessment finds the care allowance", "能力评估后主动发现护理补贴")
    see = field.watcher
    key, told = await acts.enter_resident(field, name="陈玉珍", born_on="1950-02-11")
    tell.act("police", "register 陈玉珍, 76", told)
    told = await field["civil-affairs"].ask(
        "RegistryService/GrantEligibility",
        registry_pb.GrantEligibilityRequest(
            resident_key=key,
            eligibility_class=eligibility_pb2.ELIGIBILITY_CLASS_MINIMUM_LIVING,
            valid_from=on("2026-01-01"),
            source_department="511702 民政局（虚构）",
            evidence="低保证 2026-17（虚构）",
        ),
    )
    tell.act("civil affairs", "she receives minimum living (低保)", told)
    began = time.perf_counter()
    told = await field["health"].ask(
        "RegistryService/RecordAssessment",
        registry_pb.RecordAssessmentRequest(
            resident_key=key,
            reason=assessment_pb2.ASSESSMENT_REASON_FIRST,
            assessed_on=on("2026-11-02"),
            assessor_credit_code=str(acts.fictional_credit_code()),
            assessor_certificates=["评估员 01（虚构）", "评估员 02（虚构）"],
            findings=_severe(),
        ),
    )
    tell.act("health", "assess her ability: 40 of 90 points, severe", told)
    granted = await see.until(
        entitlement_events_pb2.EntitlementGranted, resident_key=key, scheme_code=CARE
    )
    tell.effect("subsidies", "care allowance found without an application", granted, began)
    for reason in granted.message.reasons:
        tell.remark(reason)
    await acts.insure(field, key, enrolment_pb2.INSURANCE_SCHEME_LONG_TERM_CARE)
    began = time.perf_counter()
    tell.act(
        "medical insurance",
        "grant long-term care from 1 December",
        await field["medical-insurance"].ask(
            "MedicalService/GrantLongTermCare",
            medical_pb.GrantLongTermCareRequest(
                resident_key=key,
                disability_level=care_pb2.CARE_DISABILITY_LEVEL_SEVERE_2,
                assessed_on=on("2026-11-10"),
                assessment_reference="长护评 2026-9（虚构）",
                began_on=on("2026-12-01"),
            ),
        ),
    )
    stopped = await see.until(
        entitlement_events_pb2.EntitlementStopped, resident_key=key, scheme_code=CARE
    )
    tell.effect(
        "subsidies",
        f"care allowance stops on {_day(stopped.message.stopped_on)}: no day is paid twice (M004-11)",
        stopped,
        began,
    )
    return key, told.trace_id


def _severe() -> assessment_pb2.Findings:
    """40 points: severe disability (GB/T 42195: 30-45)."""
    return assessment_pb2.Findings(
        scores=assessment_pb2.AbilityScores(
            self_care=assessment_pb2.SelfCareScores(
                eating=3,
                grooming=2,
                bathing=1,
                upper_dressing=2,
                lower_dressing=1,
                bladder_control=2,
                bowel_control=2,
                toileting=1,
            ),
            mobility=assessment_pb2.MobilityScores(bed_mobility=1, transfer=1, walking=1, stairs=0),
            mental_state=assessment_pb2.MentalScores(
                orientation_in_time=2,
                orientation_in_space=2,
                orientation_to_persons=3,
                memory=2,
                comprehension=2,
                expression=3,
                aggression=1,
                depression=1,
                consciousness=2,
            ),
            perception_and_participation=assessment_pb2.SocialScores(
                vision=1, hearing=1, daily_affairs=1, using_transport=0, social_contact=2
            ),
        )
    )


async def blacklisting_halts_and_repair_restores(field: Field, tell: Narrator) -> tuple[Home, str]:
    """Story 4; the home and the trace of the listing."""
    tell.begin("An institution is blacklisted, and repairs its credit", "机构失信惩戒与信用修复")
    see = field.watcher
    home = await acts.open_home(field, name="安康养老院")
    key, _ = await acts.enter_resident(field, name="赵淑兰", born_on="1945-07-30")
    tell.act(
        "civil affairs",
        "a home with four beds; 赵淑兰 has one of them",
        await acts.admit(field, key, home.bed_keys[0], "2026-09-01"),
    )
    await see.until(
        institution_subsidy_events_pb2.InstitutionSubsidyGranted,
        institution_key=home.institution_key,
    )
    began = time.perf_counter()
    listed = await field["market-regulation"].ask(
        "CreditService/EnterListing",
        credit_pb.EnterListingRequest(
            subject=listing_pb2.Subject(
                kind=listing_pb2.SUBJECT_KIND_ORGANISATION, key=home.credit_code
            ),
            colour=listing_pb2.LIST_COLOUR_BLACK,
            ground_code="FIRE_HAZARD_NOT_RECTIFIED",
            authority="511702 市场监督管理局（虚构）",
            region_code="511702",
            evidence=["消防检查笔录（虚构）"],
            summary="重大火灾隐患逾期未改（虚构）",
            document="通市监列〔2024〕1号（虚构）",
            decided_on=on("2024-10-20"),
            reason="逾期未整改",
            began_on=on("2024-11-01"),
        ),
    )
    tell.act("market regulation", "enter the home in the blacklist", listed)
    halted: Effects = (
        ("institutions", institution_events_pb2.AdmissionsHalted, "no new admissions"),
        ("subsidies", institution_subsidy_events_pb2.InstitutionSubsidyStopped, "subsidy stops"),
    )
    for where, kind, what in halted:
        seen = await see.until(kind, institution_key=home.institution_key)
        _same_trace(seen, listed)
        tell.effect(where, what, seen, began)
    other, _ = await acts.enter_resident(field, name="周玉梅", born_on="1944-01-09")
    try:
        await acts.admit(field, other, home.bed_keys[1], "2026-11-20")
    except Refused as refused:
        tell.remark(f"an admission is refused: {refused.words}")
    else:
        raise AssertionError("a blacklisted home admitted somebody")
    began = time.perf_counter()
    delisted = await _repair(field, listed.reply.listing.listing_key)
    tell.act("market regulation", "approve the repair of its credit", delisted)
    restored: Effects = (
        ("institutions", institution_events_pb2.AdmissionsReopened, "admissions reopened"),
        ("subsidies", institution_subsidy_events_pb2.InstitutionSubsidyResumed, "subsidy resumes"),
    )
    for where, kind, what in restored:
        seen = await see.until(kind, institution_key=home.institution_key)
        tell.effect(where, what, seen, began)
    await see.until(credit_events_pb2.PartyDelisted, subject_key=home.credit_code)
    tell.act(
        "civil affairs",
        "admit 周玉梅 now",
        await acts.admit(field, other, home.bed_keys[1], "2026-11-22"),
    )
    return home, listed.trace_id


async def _repair(field: Field, listing_key: str) -> Told:
    market = field["market-regulation"]
    await market.ask(
        "CreditService/ApplyForRepair",
        credit_pb.ApplyForRepairRequest(
            listing_key=listing_key,
            applied_on=on("2026-11-03"),
            commitment="信用修复承诺书（虚构）",
            evidence=["消防验收意见书（虚构）"],
        ),
    )
    for step in (credit_pb.REPAIR_STEP_ACCEPTED, credit_pb.REPAIR_STEP_VERIFIED):
        await market.ask(
            "CreditService/RecordRepairStep",
            credit_pb.RecordRepairStepRequest(
                listing_key=listing_key,
                step=step,
                done_on=on("2026-11-10"),
                evidence=["核实记录（虚构）"],
            ),
        )
    return await market.ask(
        "CreditService/DecideRepair",
        credit_pb.DecideRepairRequest(
            listing_key=listing_key,
            approved=True,
            document="通市监修〔2026〕1号（虚构）",
            decided_on=on("2026-11-20"),
            reason="隐患已整改并通过验收",
        ),
    )
