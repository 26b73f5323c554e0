"""The catalogue is what the contract says: derived, released, exported, and never typed twice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from eldex.api.exchange.v1 import catalogue_pb2 as nouns
from eldex.api.exchange.v1 import catalogue_service_pb2 as pb
from eldex.api.exchange.v1.catalogue_events_pb2 import CatalogResourcePublished
from eldex.common.errors import CannotStart, NotFound
from eldex.common.identifiers import RegionCode
from eldex.common.testing.harness import ServiceOnMemory
from eldex.exchange import wire
from eldex.exchange.domain.catalogue import (
    Description,
    ItemNotShared,
    ItemUnknown,
    Provider,
    SharingClass,
)
from eldex.exchange.handlers import Stores
from eldex.exchange.rpc.agreement_table import AgreementTable
from eldex.exchange.rpc.catalogue import CatalogueService
from eldex.exchange.store.collections import REPOSITORIES, stores
from eldex.exchange.store.hub_folder import HubFolder
from eldex.exchange.wire.catalogue_file import read_settings
from eldex.exchange.wire.contract_catalogue import described

CITY = RegionCode.parse("511700")
CIVIL_AFFAIRS = Provider("civil-affairs", "达州市民政局", "11511700008810305J")


@pytest.fixture(scope="module")
def catalogue() -> dict[str, Description]:
    return {each.code: each for each in described({"civil-affairs": CIVIL_AFFAIRS})}


@pytest.fixture
async def memory() -> ServiceOnMemory[Stores]:
    return await ServiceOnMemory("exchange", stores, REPOSITORIES, wire.event).start()


def desk(memory: ServiceOnMemory[Stores]) -> CatalogueService:
    rules = read_settings(None).rules
    return CatalogueService(memory.work, AgreementTable(memory.work), rules, CITY, memory.clock)


def test_every_department_is_in_it_with_its_methods_and_events(
    catalogue: dict[str, Description],
) -> None:
    residents = catalogue["101001/000001"]
    assert residents.name_zh == "居民基本信息"
    doors = {door.method: door.prefix for door in residents.doors}
    registry = "/eldex.api.registry.v1.RegistryService"
    assert doors[f"{registry}/GetResident"] == "resident"
    assert doors[f"{registry}/ListResidents"] == "residents"
    # What changes a resident is no way of reading one.
    assert f"{registry}/RegisterResident" not in doors
    assert "eldex.api.registry.v1.ResidentDeceased" in residents.event_types
    assert {each.provider.member for each in catalogue.values()} == {
        "civil-affairs",
        "finance",
        "health",
        "market-regulation",
        "medical-insurance",
        "police",
    }
    assert all(each.doors and each.items for each in catalogue.values())


def test_an_item_is_as_strict_as_the_way_to_it_and_named_in_chinese(
    catalogue: dict[str, Description],
) -> None:
    enrolments = {item.path: item for item in catalogue["303001/000001"].items}
    suspended = enrolments["suspensions.period.began_on"]
    assert (suspended.sharing_class, suspended.name_zh) == (
        SharingClass.CONDITIONAL,
        "暂停期间·期间·开始日期",
    )
    number = next(i for i in catalogue["101001/000001"].items if i.path == "document.number")
    assert (number.name_zh, number.personal_information.value) == ("身份证件·证件号码", "sensitive")


def test_the_class_of_a_resource_follows_its_items(catalogue: dict[str, Description]) -> None:
    assert catalogue["305001/000001"].sharing_class is SharingClass.UNCONDITIONAL
    assert catalogue["306001/000001"].sharing_class is SharingClass.CONDITIONAL
    # Its diagnoses are not shared; the rest is, under conditions.
    assessments = catalogue["302002/000001"]
    assert assessments.sharing_class is SharingClass.CONDITIONAL
    kept = [i for i in assessments.items if i.sharing_class is SharingClass.NOT_SHARED]
    assert [i.path for i in kept] == [
        "findings.diagnoses.icd10_code",
        "findings.diagnoses.by_psychiatrist",
    ]
    assert all("精神卫生法" in i.law or "健康促进法" in i.law for i in kept)
    assert replace(assessments, items=tuple(kept)).sharing_class is SharingClass.NOT_SHARED


def test_what_is_not_shared_is_refused_by_its_law_and_what_is_unknown_by_name(
    catalogue: dict[str, Description],
) -> None:
    with pytest.raises(ItemNotShared, match="精神卫生法"):
        catalogue["302002/000001"].chosen(["findings.diagnoses.by_psychiatrist"])
    with pytest.raises(ItemUnknown, match="horoscope"):
        catalogue["302002/000001"].chosen(["horoscope"])


async def test_a_release_is_told_once_and_a_change_is_a_new_one(
    memory: ServiceOnMemory[Stores], catalogue: dict[str, Description]
) -> None:
    service, told = desk(memory), catalogue["305001/000001"]
    await service.publish([told])
    memory.clock.pass_days(3)
    await desk(memory).publish([told])
    first = await service.get_resource(
        pb.GetResourceRequest(resource_code=told.code), memory.call()
    )
    changed = replace(told, items=told.items[:-1])
    await desk(memory).publish([changed])
    now = await service.get_resource(pb.GetResourceRequest(resource_code=told.code), memory.call())
    assert [e.release for e in memory.events(CatalogResourcePublished)] == [1, 2]
    assert now.resource.published_on == first.resource.published_on
    assert now.resource.changed_on.day == first.resource.published_on.day + 3
    assert (first.resource.etag, now.resource.etag) == ("v1", "v2")


async def test_what_the_contract_has_no_more_is_withdrawn(
    memory: ServiceOnMemory[Stores], catalogue: dict[str, Description]
) -> None:
    service = desk(memory)
    await service.publish([catalogue["305001/000001"], catalogue["305001/000002"]])
    await service.publish([catalogue["305001/000001"]])
    listed = await service.list_resources(pb.ListResourcesRequest(), memory.call())
    assert [r.resource_code for r in listed.resources] == ["305001/000001"]
    gone = await service.get_resource(
        pb.GetResourceRequest(resource_code="305001/000002"), memory.call()
    )
    assert gone.resource.withdrawn_on.year == 2026
    with pytest.raises(NotFound):
        await service.get_resource(
            pb.GetResourceRequest(resource_code="399999/000001"), memory.call()
        )


async def test_the_catalogue_is_read_by_provider_and_class_in_pages_and_masked(
    memory: ServiceOnMemory[Stores], catalogue: dict[str, Description]
) -> None:
    service = desk(memory)
    await service.publish(list(catalogue.values()))
    request = pb.ListResourcesRequest(
        provider="civil-affairs",
        sharing_class=nouns.SHARING_CLASS_UNCONDITIONAL,
        page_size=2,
    )
    request.read_mask.paths[:] = ["resource_code", "sharing_class"]
    found: list[nouns.CatalogueResource] = []
    while True:
        page = await service.list_resources(request, memory.call())
        found += page.resources
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    expected = [
        code
        for code, each in catalogue.items()
        if each.provider == CIVIL_AFFAIRS and each.sharing_class is SharingClass.UNCONDITIONAL
    ]
    assert [r.resource_code for r in found] == expected
    assert len(expected) > 2
    assert not any(r.items for r in found)


async def test_the_export_has_the_core_metadata_of_the_national_guide(
    memory: ServiceOnMemory[Stores], catalogue: dict[str, Description], tmp_path: Path
) -> None:
    service = desk(memory)
    await service.publish(list(catalogue.values()))
    reply = await service.export_catalogue(pb.ExportCatalogueRequest(), memory.call())
    document = json.loads(reply.document.content)
    assert reply.document.resources == len(document["信息资源"]) == len(catalogue)
    listing = next(r for r in document["信息资源"] if r["信息资源代码"] == "306001/000001")
    assert listing["信息资源提供方"] == "达州市民政局"
    assert listing["信息资源提供方代码"] == "11511700008810305J"
    assert listing["信息资源分类"] == {"类": "3", "项": "06", "目": "001", "细目": "000001"}
    assert listing["共享属性"]["共享类型"] == "有条件共享"
    assert listing["发布日期"] == "2026-11-22"
    items = {item["信息项名称"]: item for item in listing["信息项信息"]}
    assert items["备案事项·机构名称"] == {
        "信息项名称": "备案事项·机构名称",
        "数据类型": "字符型C",
        "共享类型": "无条件共享",
    }
    hub = HubFolder(tmp_path / "front-end")
    name = await hub.submit(reply.document.content)
    assert await hub.submit(reply.document.content) == name
    assert [p.name for p in (tmp_path / "front-end").iterdir()] == [name]
    assert (tmp_path / "front-end" / name).read_bytes() == reply.document.content


def test_whole_resources_fit_into_agreements(catalogue: dict[str, Description]) -> None:
    """An agreement holds at most 200 paths a method."""
    assert max(len(each.items) for each in catalogue.values()) <= 200


@pytest.mark.parametrize(
    "text",
    [
        "providers: [",
        "providers: []",
        "providers: []\ndeadlines: [{step: some-day}]",
        "providers: [{member: police, name_zh: 公安局, credit_code: '12'}]\ndeadlines: []",
    ],
)
def test_settings_that_are_wrong_say_so_at_the_start(text: str, tmp_path: Path) -> None:
    file = tmp_path / "catalogue.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(CannotStart, match=r"catalogue\.yaml"):
        read_settings(file)
