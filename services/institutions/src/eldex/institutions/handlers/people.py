"""What becomes of admissions when the registry tells of a death or a merge."""

from __future__ import annotations

from datetime import date

from eldex.institutions.domain.admission import Admission, Person, ResidentUnknown, is_residential
from eldex.institutions.domain.events import ReleaseCause
from eldex.institutions.handlers.ports import Stores


class People:
    """The people one act is about, each loaded or begun once."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._known: dict[str, Person] = {}

    async def of(self, resident_key: str) -> Person:
        """What is known of a resident; nothing is known of a new one."""
        person = self._known.get(resident_key)
        if person is None:
            person = await self._stores.people.find(resident_key) or Person(key=resident_key)
            self._known[resident_key] = person
        return person

    async def must_be_known(self, resident_key: str) -> None:
        """Raise `ResidentUnknown` for a resident of whom the registry has told nothing."""
        if not (await self.of(resident_key)).version:
            raise ResidentUnknown(resident_key=resident_key)

    async def path_from(self, resident_key: str) -> list[str]:
        """The record and those it was merged into, up to the one that stands for the person."""
        path = [resident_key]
        while True:
            following = (await self.of(path[-1])).survivor_key
            if not following or following in path:
                return path
            path.append(following)

    async def survivor_of(self, resident_key: str) -> str:
        """The record that stands for the person."""
        return (await self.path_from(resident_key))[-1]

    async def records_of(self, resident_key: str) -> list[Person]:
        """The record and all that were merged into it."""
        found = [await self.of(resident_key)]
        for person in found:
            known = {each.key for each in found}
            found += [await self.of(key) for key in person.merged_keys if key not in known]
        return found

    async def end(
        self, admission: Admission, day: date, cause: ReleaseCause, note: str = ""
    ) -> None:
        """End an admission: the bed is free, the person has it no more."""
        admission.end(day, cause, note)
        bed = await self._stores.beds.get(admission.bed_key)
        person = await self.of(admission.resident_key)
        bed.release(day, cause)
        person.leave(admission)
        self._stores.beds.save(bed)
        self._stores.people.save(person)
        self._stores.admissions.save(admission)

    async def release(self, person: Person, died_on: date) -> None:
        """Free every bed of a person who died, also of days before a discharge told meanwhile.

        An admission that was told to begin after the death ends on its first day: no day counts.
        """
        for key in person.admission_keys:
            admission = await self._stores.admissions.get(key)
            await self.end(admission, max(died_on, admission.admitted_on), ReleaseCause.DEATH)
        for admission in await self._stores.admissions.of_resident(person.key):
            bed = await self._stores.beds.get(admission.bed_key)
            if admission.cut_by_death(died_on, bed):
                self._stores.admissions.save(admission)

    async def rename(self, admission: Admission, was: str) -> None:
        """Have bed and people follow an admission to another record of the person."""
        self._stores.admissions.save(admission)
        if admission.ended_on is None:
            bed = await self._stores.beds.get(admission.bed_key)
            if bed.occupant is not None:
                bed.occupant.resident_key = admission.resident_key
            self._stores.beds.save(bed)
        before, after = await self.of(was), await self.of(admission.resident_key)
        before.hand_over(admission, after)
        self._stores.people.save(before)
        self._stores.people.save(after)


async def know(resident_key: str, stores: Stores) -> None:
    """The registry tells of a resident: from now on there is somebody to admit."""
    person = await People(stores).of(resident_key)
    if not person.version:
        stores.people.save(person)


async def release_on_death(resident_key: str, died_on: date, stores: Stores) -> None:
    """A resident died: every bed is free from that day on. Told again, nothing changes.

    A corrected day counts if it is an earlier one; a bed that was freed stays free.
    """
    people = People(stores)
    for person in await people.records_of(resident_key):
        person.died_on = died_on
        stores.people.save(person)
        await people.release(person, died_on)


async def readmit_after_revoked_death(resident_key: str, died_on: date, stores: Stores) -> None:
    """The notice of a death was wrong: the person may be admitted again.

    The bed that it freed stays free: somebody else may have it, or may have been promised it.
    """
    for person in await People(stores).records_of(resident_key):
        if person.died_on == died_on:
            person.died_on = None
            stores.people.save(person)


async def carry_over_on_merge(resident_key: str, survivor_key: str, stores: Stores) -> None:
    """Two records were one person: admissions go over to the survivor.

    If both have a bed, the merged record keeps its own, for a person to look at: which of the two
    beds is slept in, nobody here can know. A death frees both.
    """
    people = People(stores)
    merged, direct = await people.of(resident_key), await people.of(survivor_key)
    if resident_key in await people.path_from(survivor_key):
        return  # the survivor itself was merged into this record: there is nowhere to go
    merged.survivor_key = survivor_key
    if resident_key not in direct.merged_keys:
        direct.merged_keys.append(resident_key)
    stores.people.save(merged)
    stores.people.save(direct)
    path = await people.path_from(survivor_key)
    survivor = await people.of(path[-1])
    for admission in await stores.admissions.of_resident(resident_key):
        is_open = admission.ended_on is None and is_residential(admission.bed_class)
        if is_open and survivor.night_admission:
            continue
        admission.carry_over(path)
        await people.rename(admission, resident_key)
    if survivor.died_on is not None:
        for person in (survivor, merged):
            await people.release(person, survivor.died_on)


async def give_back_on_reversal(resident_key: str, survivor_key: str, stores: Stores) -> None:
    """The merge was wrong: what came from the record goes back to it; beds freed stay free."""
    people = People(stores)
    restored, direct = await people.of(resident_key), await people.of(survivor_key)
    holder = await people.of(await people.survivor_of(survivor_key))
    if restored.survivor_key == survivor_key:
        restored.survivor_key = ""
    direct.merged_keys = [key for key in direct.merged_keys if key != resident_key]
    stores.people.save(restored)
    stores.people.save(direct)
    held = await stores.admissions.of_resident(holder.key)
    for admission in held:
        if admission.give_back(resident_key):
            await people.rename(admission, holder.key)
    holder.settle_anew(admission for admission in held if admission.resident_key == holder.key)
    stores.people.save(holder)
