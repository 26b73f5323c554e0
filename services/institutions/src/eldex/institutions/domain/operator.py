"""Operators: who answers for institutions, and what stands against them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from eldex.common.aggregate import Aggregate
from eldex.common.errors import AlreadyExists, DomainError, Kind


class AdmissionsAreHalted(DomainError):
    """A joint punishment stands against the operator (M002-113)."""

    kind, reason = Kind.CONFLICT, "ADMISSIONS_HALTED"
    zh = "该机构因失信联合惩戒（{listing_key}）暂不得接收入住"
    en = "the institution may admit nobody while credit listing {listing_key} stands"


class SiteAlreadyFiled(DomainError):
    """The operator has an open filing for this place."""

    kind, reason = Kind.CONFLICT, "SITE_ALREADY_FILED"
    zh = "该统一社会信用代码已为此服务网点备案（{institution_key}）；另设网点请填写 site"
    en = "this credit code has filed this place already ({institution_key}); for another place, fill in site"


class SiteFiled(AlreadyExists):
    """The same, where another filing was faster."""

    what = "site"
    zh = "该统一社会信用代码已为此服务网点备案：请用 FindInstitution 查询；另设网点请填写 site"
    en = "this credit code has filed this place already: find it with FindInstitution; for another place, fill in site"


class OneNature(DomainError):
    """One organisation does not seek profit in one place and none in another."""

    kind, reason = Kind.CONFLICT, "ONE_NATURE"
    zh = "该统一社会信用代码已以 {nature} 备案（{institution_key}）：同一组织的经营性质须一致"
    en = "this credit code is filed as {nature} ({institution_key}): an organisation has one nature at all its places"


@dataclass(slots=True)
class Halt:
    """A credit listing's measure against admissions: `halted_on` ≤ day < `lifted_on`."""

    listing_key: str
    halted_on: date
    lifted_on: date | None = None

    def holds_on(self, day: date) -> bool:
        """Whether it forbids admissions on that day."""
        return self.halted_on <= day and (self.lifted_on is None or day < self.lifted_on)


@dataclass(kw_only=True)
class Operator(Aggregate):
    """Who runs institutions, by credit code; liability and listings are the operator's (M001-38).

    It is written with each new filing, so that a listing decided at the same moment cannot miss it.
    """

    institution_keys: list[str] = field(default_factory=list)
    halts: list[Halt] = field(default_factory=list)

    def halt(self, listing_key: str, halted_on: date) -> None:
        """Remember a listing, for institutions that are filed later."""
        if all(halt.listing_key != listing_key for halt in self.halts):
            self.halts.append(Halt(listing_key, halted_on))

    def lift(self, listing_key: str, lifted_on: date) -> None:
        """Remember that a listing stands no more, even if it was never told."""
        self.halt(listing_key, lifted_on)
        for halt in self.halts:
            if halt.listing_key == listing_key and halt.lifted_on is None:
                halt.lifted_on = lifted_on
