"""Remote filings, care benefits and family doctors: granted where they may be, and ended."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import TypeVar

from eldex.common.calendar import Period
from eldex.common.clock import day_of
from eldex.common.identifiers import RegionCode, RegionLevel, new_key
from eldex.medical.domain.claim import covering, is_remote
from eldex.medical.domain.enrolment import Scheme
from eldex.medical.domain.parameter import Case, Name
from eldex.medical.domain.person import Person
from eldex.medical.domain.rights import (
    AlreadyFiled,
    BenefitStands,
    CareBenefit,
    CareDisabilityLevel,
    CareNotRemote,
    ContractStands,
    DoctorContract,
    LivesElsewhere,
    RemoteFiling,
)
from eldex.medical.domain.tenure import DayImpossible, Days, EndCause, Tenure
from eldex.medical.handlers.people import (
    enrolments_of,
    must_be_plausible,
    person_of,
    policy_of,
)
from eldex.medical.handlers.ports import Kept, Stores

T = TypeVar("T", bound=Tenure)


@dataclass(frozen=True, slots=True)
class FileRemoteCare:
    """File that a person may be treated elsewhere."""

    resident_key: str
    care_region_code: RegionCode
    began_on: date
    ended_on: date | None


async def file_remote_care(command: FileRemoteCare, stores: Stores, now: datetime) -> RemoteFiling:
    """File it, with the fund that covers the person on the first day."""
    must_be_plausible(command.began_on, now)
    Period(command.began_on, command.ended_on)  # raises what is wrong with the period
    person = await person_of(stores, command.resident_key)
    person.may_begin(command.began_on)
    enrolments = await enrolments_of(stores, person.key, basic=True)
    cover = covering(enrolments, command.began_on, command.began_on, person.died_on)
    fund, care = cover.region_code, command.care_region_code
    policy = await policy_of(stores, fund)
    pooling = policy.level(Name.POOLING_LEVEL, command.began_on, cover.scheme)
    if not is_remote(fund, care, pooling):
        raise CareNotRemote(care_region_code=care, region_code=fund)
    wanted = Days(command.began_on, command.ended_on)
    for other in await stores.filings.by("resident_key", person.key):
        alike = other.care_region_code == care and other.region_code == fund
        if alike and other.days.overlaps(wanted):
            raise AlreadyFiled(care_region_code=care, filing_key=other.key)
    filing = RemoteFiling(
        key=new_key("fil"),
        resident_key=person.key,
        region_code=fund,
        care_region_code=care,
        began_on=command.began_on,
        ended_on=command.ended_on,
        end_cause=EndCause.TERM if command.ended_on else None,
    )
    filing.tell_begun()
    if cover.ended_on is not None:
        filing.cut(cover.ended_on, EndCause.COVER_LOST)
    _begin(filing, person, stores.filings, stores)
    return filing


@dataclass(frozen=True, slots=True)
class GrantLongTermCare:
    """Grant benefits of long-term-care insurance."""

    resident_key: str
    disability_level: CareDisabilityLevel
    assessed_on: date
    assessment_reference: str
    began_on: date


async def grant_long_term_care(
    command: GrantLongTermCare, stores: Stores, now: datetime
) -> CareBenefit:
    """Grant them for the assessed level; they last as long as cover, residence and life do."""
    must_be_plausible(command.began_on, now)
    _assessed_before(command, day_of(now))
    person = await person_of(stores, command.resident_key)
    person.may_begin(command.began_on)
    enrolments = await enrolments_of(stores, person.key, basic=False)
    cover = covering(enrolments, command.began_on, command.began_on, person.died_on)
    policy = await policy_of(stores, cover.region_code)
    case = Case(
        scheme=Scheme.LONG_TERM_CARE,
        age=person.age_on(command.began_on),
        classes=person.classes_on(command.began_on),
        disability_level=command.disability_level,
    )
    daily = policy.get(Name.LONG_TERM_CARE_DAILY_AMOUNT, case, command.began_on)
    benefit = CareBenefit(
        key=new_key("ltc"),
        resident_key=person.key,
        region_code=cover.region_code,
        began_on=command.began_on,
        disability_level=command.disability_level,
        assessed_on=command.assessed_on,
        assessment_reference=command.assessment_reference,
        daily_amount_fen=daily.amount,
        document=daily.value.document,
        clause=daily.value.clause,
    )
    benefit.tell_begun()
    cover_ends = cover.cover_end(command.began_on)
    if cover_ends is not None:
        benefit.cut(cover_ends, EndCause.COVER_LOST)
    _must_live_here(benefit, person, await care_residence_level(stores, benefit))
    _end_with_life(benefit, person)
    for other in await stores.benefits.by("resident_key", person.key):
        if other.days.overlaps(benefit.days):
            raise BenefitStands(benefit_key=other.key, began_on=other.began_on)
    _begin(benefit, person, stores.benefits, stores)
    return benefit


def _assessed_before(command: GrantLongTermCare, today: date) -> None:
    if command.assessed_on > today:
        raise DayImpossible(
            day=command.assessed_on, why_zh="评估日晚于今天", why="it lies in the future"
        )
    if command.began_on < command.assessed_on:
        raise DayImpossible(
            day=command.began_on,
            why_zh=f"待遇不能早于评估日 {command.assessed_on}",
            why=f"a benefit does not begin before the assessment, on {command.assessed_on}",
        )


@dataclass(frozen=True, slots=True)
class ContractFamilyDoctor:
    """Give a person a family doctor."""

    resident_key: str
    team_code: str
    region_code: RegionCode
    began_on: date
    ended_on: date | None


async def contract_family_doctor(
    command: ContractFamilyDoctor, stores: Stores, now: datetime
) -> DoctorContract:
    """Contract it for the agreed days, or for the term that the division's parameter says."""
    must_be_plausible(command.began_on, now)
    person = await person_of(stores, command.resident_key)
    person.may_begin(command.began_on)
    ended_on = command.ended_on
    if ended_on is None:
        policy = await policy_of(stores, command.region_code)
        term = policy.get(Name.FAMILY_DOCTOR_TERM_MONTHS, Case(), command.began_on)
        ended_on = months_after(command.began_on, term.amount)
    period = Period(command.began_on, ended_on)
    renews = ""
    for other in await stores.contracts.by("resident_key", person.key):
        if other.days.overlaps(Days(period.began_on, period.ended_on)):
            raise ContractStands(contract_key=other.key, ended_on=other.last)
        if other.last == period.began_on and not other.days.empty:
            renews = other.key
    contract = DoctorContract(
        key=new_key("fdc"),
        resident_key=person.key,
        region_code=command.region_code,
        team_code=command.team_code,
        began_on=period.began_on,
        ended_on=ended_on,
        end_cause=EndCause.TERM,
        renews_key=renews,
    )
    contract.tell_begun()
    _must_live_here(contract, person, await doctor_residence_level(stores, contract))
    _begin(contract, person, stores.contracts, stores)
    return contract


def months_after(day: date, months: int) -> date:
    """The day that many months later; in a month too short, the first of the next one."""
    index = day.year * 12 + day.month - 1 + months
    try:
        return day.replace(year=index // 12, month=index % 12 + 1)
    except ValueError:
        index += 1
        return date(index // 12, index % 12 + 1, 1)


@dataclass(frozen=True, slots=True)
class EndRight:
    """End a filing, a benefit or a contract on request."""

    key: str
    ended_on: date
    etag: str


async def end_remote_filing(command: EndRight, stores: Stores, _now: datetime) -> RemoteFiling:
    """End a remote filing."""
    filing = await stores.filings.get(command.key)
    _end(filing, command, stores.filings)
    return filing


async def end_long_term_care(command: EndRight, stores: Stores, _now: datetime) -> CareBenefit:
    """End a benefit: from that day on the care subsidy is possible again (M004-11)."""
    benefit = await stores.benefits.get(command.key)
    _end(benefit, command, stores.benefits)
    return benefit


async def end_family_doctor_contract(
    command: EndRight, stores: Stores, _now: datetime
) -> DoctorContract:
    """End a contract before its time."""
    contract = await stores.contracts.get(command.key)
    _end(contract, command, stores.contracts)
    return contract


def _end(right: T, command: EndRight, kept: Kept[T]) -> None:
    right.expect(command.etag)
    right.end(command.ended_on, EndCause.REQUEST)
    if right.events:
        kept.save(right)


def _begin(right: T, person: Person, kept: Kept[T], stores: Stores) -> None:
    _end_with_life(right, person)
    kept.save(right)
    stores.people.save(person)


def _end_with_life(right: Tenure, person: Person) -> None:
    if person.first_day_after_life is not None:
        right.end_by_death(person.first_day_after_life)


async def care_residence_level(stores: Stores, benefit: CareBenefit) -> RegionLevel | None:
    """The level of division outside of which one may not live and receive the benefit."""
    policy = await policy_of(stores, benefit.region_code)
    name = Name.LONG_TERM_CARE_RESIDENCE_LEVEL
    return policy.level(name, benefit.began_on, Scheme.LONG_TERM_CARE)


async def doctor_residence_level(stores: Stores, contract: DoctorContract) -> RegionLevel | None:
    """The level of division outside of which one may not live and keep the contract."""
    policy = await policy_of(stores, contract.region_code)
    return policy.level(Name.FAMILY_DOCTOR_RESIDENCE_LEVEL, contract.began_on)


def _must_live_here(right: Tenure, person: Person, level: RegionLevel | None) -> None:
    """Refuse what begins while the person lives elsewhere; end it on a known day of moving out."""
    if level is None:
        return
    outside = person.first_day_outside(right.region_code, level, right.began_on)
    if outside is None:
        return
    day, lives_in = outside
    if day == right.began_on:
        raise LivesElsewhere(day=day, lives_in=lives_in, region_code=right.region_code)
    right.end_by_move(day)


def follow_moves(
    right: Tenure, person: Person, level: RegionLevel | None, held: Iterable[Tenure]
) -> bool:
    """End what is bound to a residence on the day the person moved out of it, as is known by now.

    Where the move is corrected it goes on, unless another of those `held` took its place. Whether
    anything changed.
    """
    if level is None or (right.days.empty and right.before_move is None):
        return False
    outside = person.first_day_outside(right.region_code, level, right.began_on)
    taken = [other.days for other in held if other is not right]
    changed = right.end_by_move(outside[0] if outside else None, taken)
    if changed:
        _end_with_life(right, person)
    return changed
