"""What cannot be true of one person at once, though each was entered by right: for people to look at."""

from __future__ import annotations

from eldex.registry.domain.residents import Resident


def contradictions(resident: Resident) -> list[str]:
    """What is told of days after the death: a notice came late, or one of the two is wrong.

    It is told anew whenever it is asked for, so that it is gone when either is mended.
    """
    died_on = resident.died_on
    if died_on is None:
        return []
    told = [(f"residence {r.region_code}", "居住地", r.began_on) for r in resident.residences]
    told += [(f"assessment {h.assessment_key}", "能力评估", h.assessed_on) for h in resident.levels]
    return [
        f"{what} of {day} lies after the death / {zh}（{day}）晚于死亡日期，请核实"
        for what, zh, day in told
        if day > died_on
    ]
