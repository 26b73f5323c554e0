"""Four of the stories that the demo plays; `tests/integration` looks into them more closely.

Each does what departments do, through the exchange, and waits for the effects elsewhere; it raises
`TimeoutError` naming the effect that was not seen.
"""

from __future__ import annotations

import time
from typing import Any

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
from eldex.local.narrating import (
    CIVIL_AFFAIRS,
    HEALTH,
    INSTITUTIONS,
    INSURANCE,
    MARKET,
    PARTNER,
    POLICE,
    SUBSIDIES,
    Narrator,
    Words,
)

OLD_AGE = "old-age-allowance"
CARE = "care-allowance"
Effects = tuple[tuple[Words, type[Message], Words], ...]
"""Department, the event that shows it acted, what that is."""


async def death_stops_payments(field: Field, tell: Narrator) -> tuple[str, str]:
    """Story 1; the resident's key and the trace of the notice."""
    tell.begin(Words("死亡登记，各部门即时停发", "A death stops payments"))
    see = field.watcher
    key, told = await acts.enter_resident(
        field, name="王秀英", born_on="1941-03-08", hukou_region_code=acts.PARTNER_REGION
    )
    tell.act(
        POLICE,
        Words(
            "登记王秀英，85 岁，户籍在合作城市",
            "register 王秀英, 85, household registration in the partner city",
        ),
        told,
    )
    granted = await see.until(
        entitlement_events_pb2.EntitlementGranted, resident_key=key, scheme_code=OLD_AGE
    )
    fen = granted.message.monthly_amount_fen
    tell.remark(
        Words(
            f"无需申请，已核定高龄津贴：每月 {_yuan(fen)} 元",
            f"her old-age allowance is found without an application: {_yuan(fen)} yuan a month",
        )
    )
    tell.act(INSURANCE, Words("为其参保登记", "enrol her"), await acts.insure(field, key))
    home = await acts.open_home(field, name="福寿养老院")
    admitted = await acts.admit(field, key, home.bed_keys[0], on("2026-01-05"))
    tell.act(CIVIL_AFFAIRS, Words("办理入住养老机构", "admit her to a care home"), admitted)
    began = time.perf_counter()
    told = await acts.register_death(field, key, "2026-11-01")
    tell.act(POLICE, Words("登记其 11 月 1 日死亡", "register her death on 1 November"), told)
    effects: Effects = (
        (
            SUBSIDIES,
            entitlement_events_pb2.EntitlementEnded,
            Words("津贴终止", "the allowance ends"),
        ),
        (
            INSURANCE,
            medical_events_pb2.EnrolmentEnded,
            Words("参保关系终止", "the insurance ends"),
        ),
        (INSTITUTIONS, bed_events_pb2.BedReleased, Words("床位释放", "the bed is free")),
    )
    for where, kind, what in effects:
        seen = await see.until(kind, resident_key=key)
        _same_trace(seen, told)
        tell.effect(where, what, seen, began)
    seen = await field.partner.until(resident_events_pb2.ResidentDeceased, resident_key=key)
    _same_trace(seen, told)
    tell.effect(PARTNER, Words("经订阅即时获知", "told by its subscription"), seen, began)
    registered = [
        await watcher.until(resident_events_pb2.ResidentRegistered, resident_key=key)
        for watcher in (field.partner, see)
    ]
    tell.remark(_given_and_kept(*registered))
    return key, told.trace_id


def _given_and_kept(given: Seen, whole: Seen) -> Words:
    """Which fields of an event a partner is given, and which it has no need of."""
    granted = {field.name for field, _ in given.message.ListFields()}
    names: dict[bool, list[Words]] = {True: [], False: []}
    for field, _ in whole.message.ListFields():
        # The contract names each field in Chinese, beside the class by which it is shared.
        called = [name for _, name in field.GetOptions().ListFields() if isinstance(name, str)]
        names[field.name in granted].append(Words("".join(called) or field.name, field.name))
    if not names[False]:
        raise AssertionError(
            "合作城市收到了事件的全部字段：本市仍在执行旧协议，请先 make clean · the partner city is given "
            "every field: older agreements are in force here; `make clean`, then try again"
        )
    zh, kept_zh = ("、".join(each.zh for each in names[is_given]) for is_given in (True, False))
    en, kept_en = (", ".join(each.en for each in names[is_given]) for is_given in (True, False))
    return Words(
        f"登记事件按协议只给合作城市{zh}；{kept_zh}不出本市",
        f"of her registration its agreement grants {en}; {kept_en} stay here",
    )


def _yuan(fen: int) -> str:
    return f"{fen / 100:.2f}"


def _same_trace(seen: Seen, told: Told) -> None:
    if seen.trace_id != told.trace_id:
        raise AssertionError(
            f"{seen.delivered.event_type} is in trace {seen.trace_id}, not in {told.trace_id}"
        )


async def move_changes_the_amount(field: Field, tell: Narrator) -> tuple[str, str]:
    """Story 2; the resident's key and the trace of the move."""
    tell.begin(Words("居民跨县迁移，补贴随人走", "A resident moves to another county"))
    see = field.watcher
    key, told = await acts.enter_resident(field, name="李桂芳", born_on="1938-06-20")
    tell.act(POLICE, Words("在通川区登记李桂芳，88 岁", "register 李桂芳, 88, in 通川区"), told)
    first = await see.until(
        entitlement_events_pb2.EntitlementGranted, resident_key=key, scheme_code=OLD_AGE
    )
    yuan = _yuan(first.message.monthly_amount_fen)
    tell.remark(Words(f"通川区每月发放 {yuan} 元", f"通川区 pays {yuan} yuan a month"))
    began = time.perf_counter()
    told = await field["police"].ask(
        "RegistryService/MoveResident",
        registry_pb.MoveResidentRequest(
            resident_key=key, region_code="511723", moved_on=on("2026-10-16")
        ),
    )
    tell.act(
        POLICE,
        Words("登记其 10 月 16 日起住开江县", "she lives in 开江县 since 16 October"),
        told,
    )
    ended = await see.until(entitlement_events_pb2.EntitlementEnded, resident_key=key)
    day = _day(ended.message.ended_on)
    tell.effect(
        SUBSIDIES,
        Words(f"通川区发至 {day} 前", f"通川区 pays up to {day}, not that day"),
        ended,
        began,
    )
    second = await see.until(
        entitlement_events_pb2.EntitlementGranted, count=2, resident_key=key, scheme_code=OLD_AGE
    )
    yuan, day = _yuan(second.message.monthly_amount_fen), _day(second.message.began_on)
    tell.effect(
        SUBSIDIES,
        Words(
            f"开江县自 {day} 起每月发放 {yuan} 元", f"开江县 pays {yuan} yuan a month from {day} on"
        ),
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
    tell.begin(Words("能力评估后主动发现护理补贴", "An assessment finds the care allowance"))
    see = field.watcher
    key, told = await acts.enter_resident(field, name="陈玉珍", born_on="1950-02-11")
    tell.act(POLICE, Words("登记陈玉珍，76 岁", "register 陈玉珍, 76"), told)
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
    tell.act(CIVIL_AFFAIRS, Words("认定为低保对象", "she receives minimum living (低保)"), told)
    began = time.perf_counter()
    told = await field["health"].ask(
        "RegistryService/RecordAssessment",
        registry_pb.RecordAssessmentRequest(
            resident_key=key,
            reason=assessment_pb2.ASSESSMENT_REASON_FIRST,
            assessed_on=on("2026-11-02"),
            assessor_credit_code=str(acts.fictional_credit_code()),
            assessor_certificates=["评估员 01（虚构）", "评估员 02（虚构）"],
            findings=acts.severe_findings(),
        ),
    )
    tell.act(
        HEALTH,
        Words("能力评估：90 分中得 40 分，重度失能", "assess her ability: 40 of 90 points, severe"),
        told,
    )
    granted = await see.until(
        entitlement_events_pb2.EntitlementGranted, resident_key=key, scheme_code=CARE
    )
    tell.effect(
        SUBSIDIES,
        Words("无需申请，主动核定护理补贴", "care allowance found without an application"),
        granted,
        began,
    )
    for reason in granted.message.reasons:
        tell.remark(Words(reason, reason))
    await acts.insure(field, key, enrolment_pb2.INSURANCE_SCHEME_LONG_TERM_CARE)
    began = time.perf_counter()
    tell.act(
        INSURANCE,
        Words("核定自 12 月 1 日起享受长护险", "grant long-term care from 1 December on"),
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
    day = _day(stopped.message.stopped_on)
    tell.effect(
        SUBSIDIES,
        Words(
            f"护理补贴自 {day} 起停发，同日不重复享受（M004-11）",
            f"care allowance stops on {day}: no day is paid twice (M004-11)",
        ),
        stopped,
        began,
    )
    return key, told.trace_id


async def blacklisting_halts_and_repair_restores(field: Field, tell: Narrator) -> tuple[Home, str]:
    """Story 4; the home and the trace of the listing."""
    tell.begin(
        Words("机构失信惩戒与信用修复", "An institution is blacklisted, and repairs its credit")
    )
    see = field.watcher
    home = await acts.open_home(field, name="安康养老院")
    key, _ = await acts.enter_resident(field, name="赵淑兰", born_on="1945-07-30")
    tell.act(
        CIVIL_AFFAIRS,
        Words(
            "一家四张床位的养老院，赵淑兰入住其一", "a home with four beds; 赵淑兰 has one of them"
        ),
        await acts.admit(field, key, home.bed_keys[0], on("2026-09-01")),
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
            decided_on=acts.ago(772),
            reason="逾期未整改",
            # More than the two years after which it may be repaired, less than the three of its term.
            began_on=acts.ago(760),
        ),
    )
    tell.act(MARKET, Words("将该机构列入失信名单", "enter the home in the blacklist"), listed)
    tell.remark(await _to_be_disclosed(field, home, listed.reply.listing.listing_key))
    halted: Effects = (
        (
            INSTITUTIONS,
            institution_events_pb2.AdmissionsHalted,
            Words("暂停收住", "no new admissions"),
        ),
        (
            SUBSIDIES,
            institution_subsidy_events_pb2.InstitutionSubsidyStopped,
            Words("机构补助停发", "its subsidy stops"),
        ),
    )
    for where, kind, what in halted:
        seen = await see.until(kind, institution_key=home.institution_key)
        _same_trace(seen, listed)
        tell.effect(where, what, seen, began)
    other, _ = await acts.enter_resident(field, name="周玉梅", born_on="1944-01-09")
    tell.remark(
        Words(
            f"新入住被拒：{await _not_admitted(field, other, home, 'zh')}",
            f"an admission is refused: {await _not_admitted(field, other, home, 'en')}",
        )
    )
    began = time.perf_counter()
    delisted = await acts.repair_credit(field, listed.reply.listing.listing_key)
    tell.act(MARKET, Words("批准信用修复", "approve the repair of its credit"), delisted)
    restored: Effects = (
        (
            INSTITUTIONS,
            institution_events_pb2.AdmissionsReopened,
            Words("恢复收住", "admissions reopen"),
        ),
        (
            SUBSIDIES,
            institution_subsidy_events_pb2.InstitutionSubsidyResumed,
            Words("机构补助恢复", "its subsidy resumes"),
        ),
    )
    for where, kind, what in restored:
        seen = await see.until(kind, institution_key=home.institution_key)
        tell.effect(where, what, seen, began)
    await see.until(credit_events_pb2.PartyDelisted, subject_key=home.credit_code)
    tell.act(
        CIVIL_AFFAIRS,
        Words("为周玉梅办理入住", "admit 周玉梅 now"),
        await acts.admit(field, other, home.bed_keys[1], acts.ago(3)),
    )
    return home, listed.trace_id


_PLATFORMS = {
    listing_pb2.DISCLOSURE_PLATFORM_CREDIT_CHINA: Words(
        "全国信用信息共享平台", "the national credit information platform"
    ),
    listing_pb2.DISCLOSURE_PLATFORM_ENTERPRISE_PUBLICITY: Words(
        "国家企业信用信息公示系统", "the enterprise credit publicity system"
    ),
}


async def _to_be_disclosed(field: Field, home: Home, listing_key: str) -> Words:
    """Where the listing becomes public, and by when."""
    told = await field["market-regulation"].ask(
        "CreditService/ListDisclosures",
        credit_pb.ListDisclosuresRequest(subject_key=home.credit_code),
    )
    (record,) = (each for each in told.reply.disclosures if each.source_key == listing_key)
    platform, day = _PLATFORMS[record.platform], _day(record.due_on)
    since = _day(record.happened_on)
    return Words(
        f"{since} 列入，按经营性质须于 {day} 前在{platform.zh}公示",
        f"listed on {since}; by its nature it was due on {platform.en} by {day}",
    )


async def _not_admitted(field: Field, resident_key: str, home: Home, language: str) -> str:
    """In which words a home that may not admit is told so."""
    try:
        await acts.admit(field, resident_key, home.bed_keys[1], acts.ago(5), language)
    except Refused as refused:
        return refused.words
    raise AssertionError("a blacklisted home admitted somebody")
