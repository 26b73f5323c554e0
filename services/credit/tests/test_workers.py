"""Workers' credit files: honoured, blamed, heard; and the number never shown by accident."""

from __future__ import annotations

from typing import Any

import pytest

from eldex.api.credit.v1 import credit_service_pb2 as pb
from eldex.api.credit.v1 import worker_file_pb2
from eldex.api.registry.v1 import resident_pb2
from eldex.common.errors import AlreadyExists, NotFound
from eldex.common.sealing import Sealer
from eldex.credit import store
from eldex.credit.domain.terms import DayImpossible
from eldex.credit.domain.worker import (
    AppealTooLate,
    ConductAlreadyRecorded,
    ConductStateForbids,
)


async def record(city: Any, key: str, **more: Any) -> Any:
    fields: dict[str, Any] = {
        "request_id": city.rid(),
        "worker_key": key,
        "kind": worker_file_pb2.CONDUCT_KIND_MISCONDUCT,
        "happened_on": city.on("2026-11-10"),
        "source": "通川区民政局（虚构）",
        "document": "通民查〔2026〕12号",
        "summary": "夜间擅离岗位",
    }
    return await city.door.record_conduct(pb.RecordConductRequest(**(fields | more)), city.call())


async def appeal(city: Any, key: str, conduct_key: str) -> Any:
    request = pb.AppealConductRequest(
        request_id=city.rid(),
        worker_key=key,
        conduct_key=conduct_key,
        document="申诉书",
        summary="当晚已请假",
    )
    return (await city.door.appeal_conduct(request, city.call())).worker_file


async def decide(city: Any, key: str, conduct_key: str, annulled: bool) -> Any:
    request = pb.DecideAppealRequest(
        request_id=city.rid(),
        worker_key=key,
        conduct_key=conduct_key,
        annulled=annulled,
        document="申诉处理决定 4",
    )
    return (await city.door.decide_appeal(request, city.call())).worker_file


async def test_after_a_new_sealing_key_a_file_is_found_by_number_and_not_opened_twice(
    city: Any,
) -> None:
    key = await city.worker()
    store.use_sealer(Sealer({1: bytes(64), 255: bytes(range(64))}, "credit/worker"))
    with pytest.raises(AlreadyExists):
        await city.worker()
    document = resident_pb2.PersonDocument(
        kind=resident_pb2.DOCUMENT_KIND_RESIDENT_IDENTITY_CARD, number=city.number
    )
    question = pb.FindWorkerFileRequest(document=document)
    reply = await city.door.find_worker_file(question, city.call())
    assert reply.worker_file.worker_key == key


async def test_a_commendation_and_a_misconduct_stand_side_by_side_with_their_sources(
    city: Any,
) -> None:
    key = await city.worker()
    await record(city, key)
    reply = await record(
        city,
        key,
        kind=worker_file_pb2.CONDUCT_KIND_COMMENDATION,
        document="优秀护理员表彰决定",
        source="市总工会（虚构）",
    )
    kinds = [entry.kind for entry in reply.worker_file.conduct]
    assert kinds == [
        worker_file_pb2.CONDUCT_KIND_MISCONDUCT,
        worker_file_pb2.CONDUCT_KIND_COMMENDATION,
    ]
    assert reply.worker_file.conduct[1].source == "市总工会（虚构）"


async def test_an_appeal_is_shown_as_disputed_and_may_annul_the_entry(city: Any) -> None:
    key = await city.worker()
    conduct_key = (await record(city, key)).conduct_key
    city.service.clock.pass_days(3)
    disputed = await appeal(city, key, conduct_key)
    assert disputed.conduct[0].state == worker_file_pb2.CONDUCT_STATE_APPEALED
    with pytest.raises(ConductStateForbids):
        await appeal(city, key, conduct_key)
    annulled = await decide(city, key, conduct_key, annulled=True)
    assert annulled.conduct[0].state == worker_file_pb2.CONDUCT_STATE_ANNULLED
    with pytest.raises(ConductStateForbids):
        await decide(city, key, conduct_key, annulled=False)


async def test_an_appeal_comes_within_its_working_days(city: Any) -> None:
    key = await city.worker()
    reply = await record(city, key)
    until = city.iso(reply.worker_file.conduct[0].appeal_until)
    assert until > "2026-12-22"
    city.service.clock.pass_days(60)
    with pytest.raises(AppealTooLate) as late:
        await appeal(city, key, reply.conduct_key)
    assert until in late.value.message("en")


async def test_the_same_document_tells_the_same_day_once_and_nothing_of_tomorrow(
    city: Any,
) -> None:
    key = await city.worker()
    await record(city, key)
    with pytest.raises(ConductAlreadyRecorded):
        await record(city, key)
    with pytest.raises(DayImpossible):
        await record(city, key, happened_on=city.on("2026-11-23"))
    with pytest.raises(NotFound):
        await appeal(city, key, "cdt_06h02o0o3iboh8skjic61nvrb0")


async def test_a_person_has_one_file_found_by_number_and_shown_without_it(city: Any) -> None:
    key = await city.worker()
    with pytest.raises(AlreadyExists):
        await city.worker()
    document = resident_pb2.PersonDocument(
        kind=resident_pb2.DOCUMENT_KIND_RESIDENT_IDENTITY_CARD, number=city.number
    )
    request = pb.FindWorkerFileRequest(document=document)
    found = (await city.door.find_worker_file(request, city.call())).worker_file
    assert (found.worker_key, found.document.number) == (key, "")
    assert city.number not in str(city.service.backend.collections)
    named = pb.GetWorkerFileRequest(worker_key=key)
    named.read_mask.paths.append("document.number")
    shown = (await city.door.get_worker_file(named, city.call())).worker_file
    assert (shown.document.number, shown.name) == (city.number, "")
    listed = await city.door.list_worker_files(
        pb.ListWorkerFilesRequest(region_code=city.county[:4]), city.call()
    )
    assert [(f.worker_key, f.document.number) for f in listed.worker_files] == [(key, "")]
