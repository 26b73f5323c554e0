"""One person, two records: merged into one that stands for both, and parted again."""

from __future__ import annotations

from eldex.common.errors import DomainError, Kind
from eldex.registry.domain import facts
from eldex.registry.domain.residents import Resident


class NotMerged(DomainError):
    """Only a merge that is in force can be reversed."""

    kind, reason = Kind.CONFLICT, "RESIDENT_NOT_MERGED"
    zh = "档案 {resident_key} 未被合并，无可撤销"
    en = "record {resident_key} is not merged: there is nothing to reverse"


class MergeContradicts(DomainError):
    """Two records cannot be one person as they stand."""

    kind, reason = Kind.CONFLICT, "MERGE_CONTRADICTS"
    zh = "两份档案相互矛盾，不能合并：{why_zh}"
    en = "the records contradict each other and cannot be merged: {why}"


def differences(record: Resident, survivor: Resident) -> list[str]:
    """What two records tell differently of what nobody changes: for people to look at."""
    told = []
    if record.sex is not survivor.sex:
        told.append(("sex", "性别"))
    if record.born_on != survivor.born_on:
        told.append(("day of birth", "出生日期"))
    return [
        f"merged record {record.key} tells another {en} / 被并档案 {record.key} 登记的{zh}不同，请核实"
        for en, zh in told
    ]


def merge(record: Resident, survivor: Resident, evidence: str) -> None:
    """Have a record no longer stand for the person; the survivor takes over all that is held, by reference."""
    record.must_stand()
    survivor.must_stand()
    _must_agree(record, survivor)
    survivor.merged_keys += record.record_keys
    survivor.take(record.classes, record.levels)
    survivor.warnings = [*survivor.warnings, *differences(record, survivor)]
    record.classes, record.levels = [], []  # held by one record only, so that a list has each once
    record.survivor_key = survivor.key
    record.last_evidence = survivor.last_evidence = evidence
    record.record(
        facts.ResidentMerged(record.key, survivor.key, record.region_code, record.hukou_region_code)
    )


def _must_agree(record: Resident, survivor: Resident) -> None:
    why = None
    if record.key == survivor.key:
        why = ("是同一份档案", "they are the same record")
    elif record.died_on != survivor.died_on:
        zh = "死亡登记不一致，请先登记、更正或撤销死亡"
        why = (zh, "they tell different deaths: register, correct or revoke one first")
    if why:
        raise MergeContradicts(why_zh=why[0], why=why[1])


def share_death(record: Resident, survivor: Resident) -> None:
    """Have a merged record tell what became of the death that both told: corrected, or revoked.

    A death that was registered of the survivor alone is none of the merged record, and is not
    shared: should the merge be reversed, its person lives.
    """
    before = record.died_on
    assert before is not None
    place = record.region_code, record.hukou_region_code
    record.died_on, record.death_evidence = survivor.died_on, survivor.death_evidence
    record.last_evidence = survivor.last_evidence
    if survivor.died_on is None:
        record.record(facts.ResidentDeathRevoked(record.key, before, *place))
    else:
        record.record(facts.ResidentDeceased(record.key, survivor.died_on, *place, before))


def part(record: Resident, survivor: Resident, evidence: str) -> None:
    """Have a merged record stand for a person again, with all that it brought, as it has become since."""
    if not record.survivor_key:
        raise NotMerged(resident_key=record.key)
    survivor.must_stand()
    mine = set(record.record_keys)
    survivor.merged_keys = [key for key in survivor.merged_keys if key not in mine]
    told = differences(record, survivor)
    survivor.warnings = [each for each in survivor.warnings if each not in told]
    record.classes = [held for held in survivor.classes if held.origin_key in mine]
    record.levels = [held for held in survivor.levels if held.origin_key in mine]
    survivor.classes = [held for held in survivor.classes if held.origin_key not in mine]
    survivor.levels = [held for held in survivor.levels if held.origin_key not in mine]
    record.survivor_key = ""
    record.last_evidence = survivor.last_evidence = evidence
    record.record(
        facts.ResidentMergeReversed(
            record.key, survivor.key, record.region_code, record.hukou_region_code
        )
    )
