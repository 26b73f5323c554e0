"""How the people of one township live together: who is married, whose child, who is alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from eldex.common.identifiers import Sex
from eldex.local.city import shape
from eldex.local.city.records import Relation


@dataclass(slots=True)
class Draft:
    """Somebody before they have a name and a number."""

    sex: Sex
    age: int
    relation: Relation = Relation.HEAD


@dataclass(slots=True)
class Family:
    """A household in the making, head first; `arrangement` says how its elders live."""

    members: list[Draft]
    arrangement: str = ""


class _Ages:
    """People of one township by sex and age, taken out one by one nearest to an age wanted."""

    def __init__(self) -> None:
        self._by_age: dict[Sex, list[list[Draft]]] = {sex: [[] for _ in range(130)] for sex in Sex}
        self.left = 0

    def put(self, person: Draft) -> None:
        """Add a person."""
        self._by_age[person.sex][person.age].append(person)
        self.left += 1

    def take(self, sex: Sex, age: int, reach: int) -> Draft | None:
        """Take out who is nearest to the age, at most `reach` years off."""
        shelf = self._by_age[sex]
        for off in range(reach + 1):
            for wanted in (age - off, age + off) if off else (age,):
                if 0 <= wanted < len(shelf) and shelf[wanted]:
                    self.left -= 1
                    return shelf[wanted].pop()
        return None

    def take_either(self, sex: Sex, age: int, reach: int) -> Draft | None:
        """Take somebody near the age, of that sex if there is one."""
        return self.take(sex, age, reach) or self.take(_other(sex), age, reach)

    def all_left(self) -> Iterator[Draft]:
        """Take out everybody who is left, young before old, women and men in turn."""
        for age in range(130):
            for sex in (Sex.MALE, Sex.FEMALE):
                shelf = self._by_age[sex][age]
                while shelf:
                    self.left -= 1
                    yield shelf.pop()


def form_families(people: list[Draft], rng: Random) -> list[Family]:
    """Put everybody into exactly one household; no child is left without an adult if there is one."""
    children, adults, elders = _Ages(), _Ages(), _Ages()
    for person in people:
        if person.age >= shape.ELDER_AGE:
            elders.put(person)
        else:
            (adults if person.age >= 15 else children).put(person)
    families = []
    waiting: list[Family] = []
    for elder in elders.all_left():
        family = _elder_family(elder, elders, children, rng)
        families.append(family)
        if family.arrangement == "children":
            waiting.append(family)
    families += _young_families(children, adults, waiting, rng)
    for family in waiting:
        _move_in_with_a_child(family, adults, rng)
    families += _without_children(adults, rng)
    for child in children.all_left():
        # More children than the adults of a very small place can explain: kin take them in.
        host = families[int(rng.random() * len(families))] if families else Family([])
        child.relation = Relation.GRANDCHILD if host.members else Relation.HEAD
        host.members.append(child)
        if not families:
            families.append(host)
    return families


def _elder_family(elder: Draft, elders: _Ages, children: _Ages, rng: Random) -> Family:
    family = Family([elder])
    # Twice the odds of a woman of the same age: all who are taken as a spouse are not asked again.
    if rng.random() < shape.ELDER_COUPLES:
        spouse = elders.take(_other(elder.sex), elder.age, 6)
        if spouse is not None:
            spouse.relation = Relation.SPOUSE
            family.members.append(spouse)
    drawn = rng.random()
    family.arrangement = next(name for name, up_to in shape.LIVING_ARRANGEMENTS if drawn < up_to)
    if family.arrangement == "grandchildren":
        grandchild = children.take_either(Sex.MALE, min(14, max(0, elder.age - 56)), 14)
        if grandchild is None:
            family.arrangement = "alone"
        else:
            grandchild.relation = Relation.GRANDCHILD
            family.members.append(grandchild)
    return family


def _young_families(
    children: _Ages, adults: _Ages, waiting: list[Family], rng: Random
) -> list[Family]:
    """Couples with one to three children, some of them with grandparents who wait for a home."""
    families = []
    while children.left and adults.left:
        first = children.take_either(
            Sex.MALE if rng.random() < 0.5 else Sex.FEMALE, int(rng.random() * 15), 15
        )
        if first is None:
            break
        mother_age = first.age + 24 + int(rng.random() * 10)
        mother = adults.take(Sex.FEMALE, mother_age, 5)
        father = adults.take(Sex.MALE, mother_age + 2, 5)
        parents = [each for each in (father, mother) if each is not None]
        if not parents:
            any_adult = adults.take_either(Sex.FEMALE, 45, 14)
            if any_adult is None:
                children.put(first)
                break
            parents = [any_adult]
        if len(parents) == 2:
            parents[1].relation = Relation.SPOUSE
        brood = [first]
        for chance in (0.55, 0.15):
            if brood[-1].age >= 4 and rng.random() < chance:
                # Two to six years younger: nobody is born a few days after their sister.
                sibling = children.take_either(_other(first.sex), brood[-1].age - 4, 2)
                if sibling is not None:
                    brood.append(sibling)
        for child in brood:
            child.relation = Relation.CHILD
        family = Family(parents + brood)
        grandparents = _old_enough(waiting, parents) if rng.random() < 0.45 else None
        if grandparents is not None:
            for elder in grandparents.members:
                elder.relation = Relation.PARENT
            # The elders' household becomes the whole one, with the parents as its head.
            grandparents.members = family.members + grandparents.members
        else:
            families.append(family)
    return families


def _old_enough(waiting: list[Family], parents: list[Draft]) -> Family | None:
    """Take out an elders' family that can be the parents of one of these, among the last few."""
    oldest = max(each.age for each in parents)
    for i in range(len(waiting) - 1, max(-1, len(waiting) - 6), -1):
        if min(each.age for each in waiting[i].members) >= oldest + 18:
            return waiting.pop(i)
    return None


def _move_in_with_a_child(family: Family, adults: _Ages, rng: Random) -> None:
    elder = family.members[0]
    child = adults.take_either(
        Sex.MALE if rng.random() < 0.7 else Sex.FEMALE, min(59, elder.age - 28), 8
    )
    if child is None:
        family.arrangement = "alone"
        return
    for each in family.members:
        each.relation = Relation.PARENT
    child.relation = Relation.HEAD
    members = [child]
    if rng.random() < 0.5:
        spouse = adults.take(_other(child.sex), child.age, 6)
        if spouse is not None:
            spouse.relation = Relation.SPOUSE
            members.append(spouse)
    family.members = members + family.members


def _without_children(adults: _Ages, rng: Random) -> list[Family]:
    """Couples without children, with grown ones, and people on their own."""
    families = []
    for adult in adults.all_left():
        family = Family([adult])
        if adult.age < 22:
            # A grown child at home: the parents are the household's head.
            parent = adults.take_either(Sex.MALE, adult.age + 27, 9)
            if parent is not None:
                family = Family([parent, adult])
                adult.relation = Relation.CHILD
        head = family.members[0]
        if head.age >= 22 and rng.random() < 0.8:
            spouse = adults.take(_other(head.sex), head.age, 6)
            if spouse is not None:
                spouse.relation = Relation.SPOUSE
                family.members.insert(1, spouse)
        families.append(family)
    return families


def _other(sex: Sex) -> Sex:
    return Sex.FEMALE if sex is Sex.MALE else Sex.MALE
