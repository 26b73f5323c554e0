"""How every number of the city is marked as fictional, and how to tell that mark.

**People.** A citizen's number begins with the division code of the first registration, so a number
under a code that was never assigned can belong to nobody, living or dead. `511790`-`511799` and
`500190`-`500199` have never been assigned: county digits run 01-20 and 51-70 for districts, 21-50 for
counties, 81 upwards for county-level cities, one after another, and these two prefectures stand at
81 and none. A test looks them up in every edition of the table since 1980. Each county unit has
its own such code, so a number still tells city and county (`ISSUING_CODES`); birth date, sequence and check
character are as the standard says, and the numbers pass every check that real ones pass. Only the
division warning of `ResidentId` points them out, which in production is what it should do.

**Organisations.** The organisation code (characters 9-17 of a credit code) begins with `FAKE`; assigned
ones have one or two letters at the front, then digits.

**Names** end in （虚构） for institutions; people's names are drawn from lists of our own.
"""

from __future__ import annotations

from array import array
from datetime import date

from eldex.common.identifiers import (
    CreditCode,
    PersonDocument,
    ResidentId,
    Sex,
    check_character,
    credit_check_character,
)
from eldex.local.city.shape import COUNTIES, PARTNER_COUNTIES

FICTIONAL = ("51179", "50019")
"""What a fictional identity number begins with."""
FICTIONAL_ORGANISATION = "FAKE"
"""What the organisation code in a fictional credit code begins with."""
NAME_MARK = "（虚构）"

ISSUING_CODES: dict[str, str] = {
    **{county.code: f"{FICTIONAL[0]}{i}" for i, county in enumerate(COUNTIES)},
    **{county: f"{FICTIONAL[1]}{i}" for i, county in enumerate(PARTNER_COUNTIES)},
}
"""Unassigned division code that stands for each real county in fictional numbers."""

_EPOCH = date(1890, 1, 1).toordinal()
_DAYS = date(2200, 1, 1).toordinal() - _EPOCH
_BASE31 = "0123456789ABCDEFGHJKLMNPQRTUWXY"


def is_fictional(identity: PersonDocument | CreditCode | str) -> bool:
    """Whether a number carries the mark: a person's (any form, also as text) or a credit code."""
    if isinstance(identity, CreditCode):
        return identity.value[8:12] == FICTIONAL_ORGANISATION
    text = identity if isinstance(identity, str) else identity.reveal()
    return text.startswith(FICTIONAL)


class NumberOffice:
    """Gives out fictional identity numbers, never one twice.

    Memory stays bounded however many are given: a counter for each day, sex and county.
    """

    def __init__(self) -> None:
        self._given: dict[str, array[int]] = {}

    def identity(self, county: str, born_on: date, sex: Sex) -> ResidentId:
        """The next number for somebody born on that day and first registered in that county."""
        given = self._given.get(county)
        if given is None:
            given = self._given[county] = array("H", bytes(4 * _DAYS))
        place = (born_on.toordinal() - _EPOCH) * 2 + (sex is Sex.MALE)
        given[place] += 1
        # Odd for men, even for women, from 001 and 002 on: 499 a day and sex.
        sequence = given[place] * 2 - (sex is Sex.MALE)
        if sequence > 999:
            raise ValueError(f"{county} has no sequence code left on one day: lower the scale")
        body = f"{ISSUING_CODES[county]}{born_on:%Y%m%d}{sequence:03d}"
        return ResidentId(body + check_character(body))


def credit_code(type_code: str, division: str, serial: int) -> CreditCode:
    """The credit code of the serial-th fictional organisation, such as `52511702FAKE0007X…`."""
    tail = ""
    for _ in range(4):
        serial, rest = divmod(serial, 31)
        tail = _BASE31[rest] + tail
    organisation = FICTIONAL_ORGANISATION + tail
    body = f"{type_code}{division}{organisation}{_organisation_check(organisation)}"
    return CreditCode(body + credit_check_character(body))


def _organisation_check(organisation: str) -> str:
    """Check character of an organisation code (组织机构代码), GB 11714: letters count from A = 10."""
    weights = (3, 7, 9, 10, 5, 8, 4, 2)
    total = sum(w * int(c, 36) for w, c in zip(weights, organisation, strict=True))
    return "0X987654321"[total % 11]
