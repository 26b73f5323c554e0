"""Calls about relatives and guardians."""

from __future__ import annotations

from eldex.api.registry.v1 import registry_service_pb2 as pb
from eldex.common.rpc.call import Call
from eldex.common.rpc.writes import write
from eldex.registry.domain.guardianships import Guardianship
from eldex.registry.domain.relations import Relation
from eldex.registry.handlers import relations
from eldex.registry.handlers.ports import Stores
from eldex.registry.handlers.reading import record_keys
from eldex.registry.rpc.base import Calls, known_at, listed
from eldex.registry.wire import relations as wire


class RelationCalls(Calls):
    """Recording, ending and listing relations and guardianships."""

    async def record_relation(
        self, request: pb.RecordRelationRequest, call: Call
    ) -> pb.RecordRelationResponse:
        """Record that one person is another's relative."""
        command = wire.record(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: relations.record_relation(command, stores, now),
            lambda found: pb.RecordRelationResponse(relation=wire.relation(found)),
        )

    async def end_relation(
        self, request: pb.EndRelationRequest, call: Call
    ) -> pb.EndRelationResponse:
        """End a relation."""
        command = wire.end(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: relations.end_relation(command, stores, now),
            lambda found: pb.EndRelationResponse(relation=wire.relation(found)),
        )

    async def appoint_guardian(
        self, request: pb.AppointGuardianRequest, call: Call
    ) -> pb.AppointGuardianResponse:
        """Appoint a guardian."""
        command = wire.appoint(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: relations.appoint_guardian(
                command, stores, self._tables.guardian_rules, now
            ),
            lambda found: pb.AppointGuardianResponse(guardianship=wire.guardianship(found)),
        )

    async def end_guardianship(
        self, request: pb.EndGuardianshipRequest, call: Call
    ) -> pb.EndGuardianshipResponse:
        """End a guardianship."""
        command = wire.end_guardianship(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: relations.end_guardianship(command, stores, now),
            lambda found: pb.EndGuardianshipResponse(guardianship=wire.guardianship(found)),
        )

    async def list_relations(
        self, request: pb.ListRelationsRequest, call: Call
    ) -> pb.ListRelationsResponse:
        """List a person's relations, from both sides."""

        def wanted(found: Relation) -> bool:
            return request.include_past or found.ended_on is None

        async def act(stores: Stores) -> pb.ListRelationsResponse:
            _, keys = await record_keys(request.resident_key, known_at(request), stores)
            where = {"persons": {"$in": keys}}
            found, token = await listed(request, stores.relations, where, wanted, wire.relation)
            return pb.ListRelationsResponse(relations=found, next_page_token=token)

        return await self._work.read(act)

    async def list_guardianships(
        self, request: pb.ListGuardianshipsRequest, call: Call
    ) -> pb.ListGuardianshipsResponse:
        """List a person's guardianships, from both sides."""

        def wanted(found: Guardianship) -> bool:
            return request.include_past or found.ended_on is None

        async def act(stores: Stores) -> pb.ListGuardianshipsResponse:
            _, keys = await record_keys(request.resident_key, known_at(request), stores)
            where = {"persons": {"$in": keys}}
            found, token = await listed(
                request, stores.guardianships, where, wanted, wire.guardianship
            )
            return pb.ListGuardianshipsResponse(guardianships=found, next_page_token=token)

        return await self._work.read(act)
