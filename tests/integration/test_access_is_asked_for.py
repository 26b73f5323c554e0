"""Finance may not see who died; it asks by the catalogue, two people decide, and it sees that and no more."""

from __future__ import annotations

import uuid

import pytest

from eldex.api.exchange.v1 import catalogue_pb2 as nouns
from eldex.api.exchange.v1 import catalogue_service_pb2 as pb
from eldex.api.exchange.v1 import catalogue_service_pb2_grpc as rpc
from eldex.api.registry.v1 import registry_service_pb2
from eldex.common.rpc.client import channel
from eldex.local import acts
from eldex.local.field import Field, Refused

RESIDENTS = "101001/000001"
PURPOSE = "recovery-of-overpayments"
GET = "RegistryService/GetResident"


async def test_a_department_asks_for_a_resource_and_gets_what_was_approved(field: Field) -> None:
    key, _ = await acts.enter_resident(field, name="何春梅", born_on="1938-02-02")
    finance, police = field["finance"], field["police"]
    look = registry_service_pb2.GetResidentRequest(resident_key=key)
    with pytest.raises(Refused) as refused:
        await finance.ask(GET, look, purpose=PURPOSE)
    assert "CatalogueService/RequestAccess" in refused.value.words

    catalogue = await finance.ask(
        "CatalogueService/GetResource", pb.GetResourceRequest(resource_code=RESIDENTS)
    )
    assert catalogue.reply.resource.provider.member == "police"
    asked = await finance.ask(
        "CatalogueService/RequestAccess",
        pb.RequestAccessRequest(
            resource_code=RESIDENTS,
            purpose=PURPOSE,
            legal_basis="中华人民共和国预算法",
            need="追回死亡后多发的补贴",
            paths=["resident_key", "vital_status"],
            official_code="cz-0007",
        ),
    )
    request_key = asked.reply.access_request.request_key

    def approval(official: str) -> pb.DecideAccessRequestRequest:
        return pb.DecideAccessRequestRequest(
            request_id=str(uuid.uuid4()),
            request_key=request_key,
            approved=True,
            reason="履职所需",
            official_code=official,
        )

    await police.ask("CatalogueService/DecideAccessRequest", approval("ga-3310"))
    operations = channel(field.stack.address("exchange"), field.stack.identity("service/console"))
    try:
        done = await rpc.CatalogueServiceStub(operations).DecideAccessRequest(approval("op-0001"))
    finally:
        await operations.close()
    assert done.access_request.state == nouns.ACCESS_REQUEST_STATE_GRANTED

    seen = (await finance.ask(GET, look, purpose=PURPOSE)).reply.resident
    assert seen.resident_key == key
    assert seen.vital_status
    assert not seen.name
    assert not seen.HasField("born_on")
    rights = await finance.ask(
        "CatalogueService/ListMyRights", pb.ListMyRightsRequest(resource_code=RESIDENTS)
    )
    assert [right.agreement_key for right in rights.reply.rights] == [
        done.access_request.agreement_key
    ]
