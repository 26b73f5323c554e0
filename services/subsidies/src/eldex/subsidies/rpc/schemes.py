"""Calls about schemes, parameters and reasons."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from eldex.api.subsidies.v1 import subsidies_service_pb2 as pb
from eldex.common import masks, paging
from eldex.common.clock import day_of
from eldex.common.dates import instant, optional_day
from eldex.common.errors import NotFound
from eldex.common.identifiers import RegionCode
from eldex.common.regions import Divisions
from eldex.common.rpc.call import Call
from eldex.common.rpc.writes import write
from eldex.common.store import Document, UnitOfWork
from eldex.subsidies.domain.cycle import Redecision
from eldex.subsidies.domain.schemes import Applicable, ParameterSet, Payee, Tables, set_key
from eldex.subsidies.handlers import entitlements, institutions
from eldex.subsidies.handlers import parameters as parameters_handlers
from eldex.subsidies.handlers.parameters import NotOffered
from eldex.subsidies.handlers.ports import Stores
from eldex.subsidies.wire import entitlements as entitlements_wire
from eldex.subsidies.wire import enums
from eldex.subsidies.wire import schemes as wire


class SchemeCalls:
    """What may be got, under which conditions, and why."""

    def __init__(
        self, work: UnitOfWork[Stores], divisions: Divisions, wake: Callable[[], None]
    ) -> None:
        self._work, self._divisions, self._wake = work, divisions, wake

    async def list_schemes(
        self, request: pb.ListSchemesRequest, call: Call
    ) -> pb.ListSchemesResponse:
        """The schemes there are."""
        payees = [enums.read(Payee, request.payee, "payee")] if request.payee else []

        async def act(stores: Stores) -> pb.ListSchemesResponse:
            after = paging.after(request, request.page_token) or ""
            found = [s for s in stores.catalogue.of(*payees) if s.code > after]
            found.sort(key=lambda scheme: scheme.code)
            size = paging.size(request.page_size)
            more = found[size - 1].code if len(found) > size else None
            return pb.ListSchemesResponse(
                schemes=[wire.scheme(scheme) for scheme in found[:size]],
                next_page_token=paging.token(request, more),
            )

        response = await self._work.read(act)
        for scheme in response.schemes:
            masks.keep(scheme, request.read_mask)
        return response

    async def get_parameters(
        self, request: pb.GetParametersRequest, call: Call
    ) -> pb.GetParametersResponse:
        """What a scheme pays in a place on a day."""
        region = RegionCode.parse(request.region_code)
        day = optional_day(request.as_of, "as_of") or day_of(call.at)
        code = request.scheme_code

        async def act(stores: Stores) -> tuple[Applicable, str]:
            if request.HasField("known_at"):
                sets = await _as_known(code, region, instant(request.known_at), stores)
                found = Tables(sets.values()).find(code, region, day)
                if found is None:
                    raise NotOffered(scheme_code=code, region_code=region, day=day)
                return found, sets[set_key(code, found.region_code)].etag
            found = await parameters_handlers.parameters_on(code, region, day, stores)
            held = await stores.parameters.get(set_key(code, found.region_code))
            return found, held.etag

        found, etag = await self._work.read(act)
        response = pb.GetParametersResponse(
            parameters=wire.parameters(code, found.region_code, found.version, etag)
        )
        masks.keep(response.parameters, request.read_mask)
        return response

    async def list_parameters(
        self, request: pb.ListParametersRequest, call: Call
    ) -> pb.ListParametersResponse:
        """All versions of a scheme's parameters."""
        where: Document = {"scheme_code": request.scheme_code}
        if request.region_code:
            where["region_code"] = str(RegionCode.parse(request.region_code))

        async def act(stores: Stores) -> pb.ListParametersResponse:
            stores.catalogue.get(request.scheme_code)
            page = await stores.parameters.page(
                where,
                size=paging.size(request.page_size),
                after=paging.after(request, request.page_token),
            )
            return pb.ListParametersResponse(
                parameters=[
                    wire.parameters(each.scheme_code, each.region_code, version, each.etag)
                    for each in page.items
                    for version in each.versions
                ],
                next_page_token=paging.token(request, page.next_key),
            )

        response = await self._work.read(act)
        for each in response.parameters:
            masks.keep(each, request.read_mask)
        return response

    async def set_parameters(
        self, request: pb.SetParametersRequest, call: Call
    ) -> pb.SetParametersResponse:
        """Put parameters in force, and decide everybody anew whom that concerns."""
        command = wire.set_parameters(request)
        self._divisions.get(command.region_code)

        async def act(stores: Stores, now: datetime) -> tuple[ParameterSet, Redecision | None]:
            return await parameters_handlers.set_parameters(command, stores, now)

        def render(result: tuple[ParameterSet, Redecision | None]) -> pb.SetParametersResponse:
            held, task = result
            return pb.SetParametersResponse(
                parameters=wire.parameters(
                    held.scheme_code, held.region_code, command.version, held.etag
                ),
                redecision=wire.redecision(task) if task else None,
            )

        response = await write(self._work, request, call, act, render)
        self._wake()
        return response

    async def get_redecision(
        self, request: pb.GetRedecisionRequest, call: Call
    ) -> pb.GetRedecisionResponse:
        """How far it is to decide everybody anew."""
        found = await self._work.read(lambda s: s.redecisions.get(request.redecision_key))
        response = pb.GetRedecisionResponse(redecision=wire.redecision(found))
        masks.keep(response.redecision, request.read_mask)
        return response

    async def explain_decision(
        self, request: pb.ExplainDecisionRequest, call: Call
    ) -> pb.ExplainDecisionResponse:
        """Why a person is entitled, and why not."""
        day = optional_day(request.as_of, "as_of") or day_of(call.at)
        return entitlements_wire.explanation(
            await self._work.read(
                lambda stores: entitlements.explain_decision(
                    request.resident_key, request.scheme_code, day, stores
                )
            )
        )

    async def explain_institution_decision(
        self, request: pb.ExplainInstitutionDecisionRequest, call: Call
    ) -> pb.ExplainInstitutionDecisionResponse:
        """Why an institution is entitled, and why not."""
        day = optional_day(request.as_of, "as_of") or day_of(call.at)
        grounds, found = await self._work.read(
            lambda stores: institutions.explain_institution(
                request.institution_key, request.scheme_code, day, stores
            )
        )
        return entitlements_wire.institution_explanation(grounds, found)


async def _as_known(
    scheme_code: str, region: RegionCode, known_at: datetime, stores: Stores
) -> dict[str, ParameterSet]:
    """What was recorded at an instant for a place and the divisions above it."""
    stores.catalogue.get(scheme_code)
    found: dict[str, ParameterSet] = {}
    for code in region.lineage():
        key = set_key(scheme_code, code)
        try:
            found[key] = await stores.parameters.known_at(key, known_at)
        except NotFound:
            continue  # that division had set nothing by then
    return found
