"""The catalogue of shared resources: what there is, of which class, and when a release of it was new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum

from eldex.common.aggregate import Aggregate
from eldex.common.errors import DomainError, Kind
from eldex.common.identifiers import RegionCode


class ItemUnknown(DomainError):
    """The resource has no such item."""

    kind, reason = Kind.INVALID, "ITEM_UNKNOWN"
    zh = "资源 {resource_code} 没有信息项 {path}；可用信息项见资源目录"
    en = "resource {resource_code} has no item {path}; the catalogue lists those there are"


class ItemNotShared(DomainError):
    """A law forbids it; nobody's approval can change that."""

    kind, reason = Kind.CONFLICT, "ITEM_NOT_SHARED"
    zh = "信息项 {path} 不予共享，依据：{law}"
    en = "item {path} is not shared; what forbids it: {law}"


class ResourceWithdrawn(DomainError):
    """It was taken out of the catalogue."""

    kind, reason = Kind.CONFLICT, "RESOURCE_WITHDRAWN"
    zh = "资源 {resource_code} 已自 {withdrawn_on} 起撤销"
    en = "resource {resource_code} was withdrawn on {withdrawn_on}"


class SharingClass(Enum):
    """共享类型."""

    UNCONDITIONAL = "unconditional"
    CONDITIONAL = "conditional"
    NOT_SHARED = "not_shared"


class PersonalInformation(Enum):
    """Whether an item tells of a person (PIPL 4, 28)."""

    NONE = "none"
    PERSONAL = "personal"
    SENSITIVE = "sensitive"


class SharingMode(Enum):
    """共享方式."""

    SERVICE = "service"
    VERIFICATION = "verification"


class UpdateCycle(Enum):
    """更新周期."""

    REAL_TIME = "real_time"
    MONTHLY = "monthly"
    YEARLY = "yearly"
    AS_NEEDED = "as_needed"


@dataclass(frozen=True, slots=True)
class Provider:
    """信息资源提供方. Name and code are the city's settings; empty: not set yet."""

    member: str
    name_zh: str = ""
    credit_code: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """信息项: a field that is answered."""

    path: str
    name_zh: str
    type: str
    sharing_class: SharingClass
    personal_information: PersonalInformation = PersonalInformation.NONE
    law: str = ""


@dataclass(frozen=True, slots=True)
class Door:
    """A method that answers a resource."""

    method: str
    prefix: str
    """Where in the reply the resource lies; empty: the reply is the resource."""
    request_fields: tuple[str, ...] = ()

    def reply_path(self, path: str) -> str:
        """Where in the reply an item lies."""
        return f"{self.prefix}.{path}" if self.prefix else path


@dataclass(frozen=True, slots=True)
class Description:
    """A resource as the contract and the city's settings describe it."""

    code: str
    name_zh: str
    name_en: str
    abstract: str
    provider: Provider
    items: tuple[Item, ...]
    conditions: str
    mode: SharingMode
    update_cycle: UpdateCycle
    open_to_public: bool
    doors: tuple[Door, ...]
    event_types: tuple[str, ...]

    @property
    def sharing_class(self) -> SharingClass:
        """不予 if no item is shared, 无条件 if every item is unconditional, else 有条件."""
        classes = {item.sharing_class for item in self.items}
        return next(iter(classes)) if len(classes) == 1 else SharingClass.CONDITIONAL

    def chosen(self, paths: Sequence[str]) -> list[Item]:
        """The items of these paths, or all that are shared; raises `ItemUnknown`, `ItemNotShared`."""
        if not paths:
            return [i for i in self.items if i.sharing_class is not SharingClass.NOT_SHARED]
        by_path = {item.path: item for item in self.items}
        found = []
        for path in dict.fromkeys(paths):
            item = by_path.get(path)
            if item is None:
                raise ItemUnknown(resource_code=self.code, path=path)
            if item.sharing_class is SharingClass.NOT_SHARED:
                raise ItemNotShared(path=path, law=item.law)
            found.append(item)
        return found


@dataclass(frozen=True, slots=True)
class CatalogResourcePublished:
    """A resource was released, for the first time or changed."""

    resource_code: str
    release: int
    provider: str
    published_on: date
    region_code: RegionCode


@dataclass(kw_only=True)
class Resource(Aggregate):
    """A resource of the catalogue (政务信息资源), by its code, with its releases."""

    description: Description
    sharing_class: SharingClass
    provider: str
    """The member that provides it; with the class, what lists are filtered by."""
    published_on: date
    changed_on: date
    release: int = 1
    withdrawn_on: date | None = None

    @classmethod
    def publish(cls, description: Description, city: RegionCode, today: date) -> Resource:
        """The first release."""
        made = cls(
            key=description.code,
            description=description,
            sharing_class=description.sharing_class,
            provider=description.provider.member,
            published_on=today,
            changed_on=today,
        )
        made._tell(city)
        return made

    def differs_from(self, description: Description) -> bool:
        """Whether a new release is due."""
        return self.description != description or self.withdrawn_on is not None

    def change(self, description: Description, city: RegionCode, today: date) -> None:
        """A new release; the same description changes nothing."""
        if not self.differs_from(description):
            return
        self.description = description
        self.sharing_class = description.sharing_class
        self.provider = description.provider.member
        self.changed_on, self.withdrawn_on = today, None
        self.release += 1
        self._tell(city)

    def withdraw(self, today: date) -> None:
        """The contract has it no more."""
        self.withdrawn_on = self.withdrawn_on or today

    def must_be_offered(self) -> None:
        """Raise `ResourceWithdrawn` if it is not."""
        if self.withdrawn_on is not None:
            raise ResourceWithdrawn(resource_code=self.key, withdrawn_on=self.withdrawn_on)

    def _tell(self, city: RegionCode) -> None:
        self.record(
            CatalogResourcePublished(self.key, self.release, self.provider, self.changed_on, city)
        )
