"""Generate a city, say what it looks like and how fast that went.

python -m eldex.local.city --seed 2 --scale 1/100
"""

from __future__ import annotations

import argparse
import resource
import time
from collections import Counter
from datetime import date
from fractions import Fraction

from eldex.common.calendar import age_on
from eldex.local.city.generate import generate
from eldex.local.city.records import InstitutionKind


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Generate the fictional city and describe it.")
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--scale", type=Fraction, default=Fraction(1, 100), help="such as 1/100")
    parser.add_argument("--as-of", type=date.fromisoformat, default=date(2026, 1, 1))
    args = parser.parse_args()
    city = generate(args.seed, args.scale, args.as_of)
    people: Counter[str] = Counter()
    started = time.perf_counter()
    for household in city.households():
        people["households"] += 1
        for resident in household.members:
            people["residents"] += 1
            age = age_on(resident.born_on, args.as_of)
            for bound in (60, 65, 80, 100):
                people[f"aged {bound}+"] += age >= bound
            people["assessed"] += resident.assessment is not None
            people["in a bed"] += resident.stay is not None
            people.update(f"class {each.kind.value}" for each in resident.eligibility)
    seconds = time.perf_counter() - started
    for name, count in people.items():
        print(f"{name:32} {count:>10,} {count / people['residents']:8.2%}")
    for kind in InstitutionKind:
        found = [each for each in city.institutions if each.kind is kind]
        beds, nursing = sum(i.beds for i in found), sum(i.nursing_beds for i in found)
        places = sum(i.places for i in found)
        print(
            f"{kind.value:32} {len(found):>10,} {beds:,} beds, {nursing:,} nursing, {places:,} places"
        )
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{people['residents'] / seconds:,.0f} persons/s, peak memory {peak_mib:,.0f} MiB")


if __name__ == "__main__":
    main()
