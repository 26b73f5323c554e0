"""gRPC server reflection, v1 and v1alpha: a caller is told of the services that it may call, and of no others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_reflection.v1alpha import reflection_pb2 as pb

from eldex.common.clock import Clock, day_of
from eldex.common.errors import DomainError
from eldex.common.rpc.call import Identity
from eldex.common.rpc.policy import Policy
from eldex.common.rpc.revocation import Revocations
from eldex.exchange.rpc.agreement_table import AgreementTable

_OWN: Final = "eldex.api.exchange.v1."
_METHODS: Final = frozenset(
    f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
    for version in ("v1", "v1alpha")
)
_NOT_FOUND: Final = grpc.StatusCode.NOT_FOUND.value[0]
_UNIMPLEMENTED: Final = grpc.StatusCode.UNIMPLEMENTED.value[0]


class Offer:
    """The contract as one caller may see it."""

    def __init__(self, may_call: Callable[[str], bool]) -> None:
        """`may_call` is asked with `/<service>/<method>`."""
        self._may_call = may_call
        self._pool = descriptor_pool.Default()

    def services(self, names: list[str]) -> list[str]:
        """Those of which at least one method may be called."""
        return [name for name in names if self._methods(self._pool.FindServiceByName(name))]

    def _methods(self, service: Any) -> list[str]:
        return [
            method.name
            for method in service.methods
            if self._may_call(f"/{service.full_name}/{method.name}")
        ]

    def files_of(self, name: str) -> list[bytes]:
        """The file that holds a symbol and all that it imports; raises `KeyError`."""
        try:
            service = self._pool.FindServiceByName(name)
        except KeyError:
            found = self._pool.FindFileContainingSymbol(name)
            if method := self._method(name):
                service = method.containing_service
                if not self._may_call(f"/{service.full_name}/{method.name}"):
                    raise KeyError(name) from None
        else:
            if not self._methods(service):
                raise KeyError(name)
            found = service.file
        return self._with_imports(found)

    def _method(self, name: str) -> Any:
        try:
            return self._pool.FindMethodByName(name)
        except KeyError:
            return None

    def file(self, name: str) -> list[bytes]:
        """A file by its name and all that it imports; raises `KeyError`."""
        return self._with_imports(self._pool.FindFileByName(name))

    def _with_imports(self, first: Any) -> list[bytes]:
        found: dict[str, bytes] = {}
        waiting = [first]
        while waiting:
            file = waiting.pop()
            if file.name not in found:
                found[file.name] = self._shown(file)
                waiting.extend(file.dependencies)
        return list(found.values())

    def _shown(self, file: Any) -> bytes:
        shown = descriptor_pb2.FileDescriptorProto()
        file.CopyToProto(shown)
        kept = []
        for service in shown.service:
            names = self._methods(self._pool.FindServiceByName(f"{shown.package}.{service.name}"))
            methods = [method for method in service.method if method.name in names]
            del service.method[:]
            service.method.extend(methods)
            if methods:
                kept.append(service)
        del shown.service[:]
        shown.service.extend(kept)
        return shown.SerializeToString()


class ReflectionDoor(grpc.GenericRpcHandler):
    """Answers both versions, whose messages are alike on the wire."""

    def __init__(
        self,
        services: list[str],
        agreements: AgreementTable,
        identify: Callable[[grpc.aio.ServicerContext[Any, Any]], Identity],
        revocations: Revocations,
        policy: Policy,
        clock: Clock,
    ) -> None:
        """`services` are all that the exchange answers or forwards, by full name; `policy` says who may ask."""
        self._policy = policy
        self._services, self._agreements = sorted(services), agreements
        self._identify, self._revocations, self._clock = identify, revocations, clock

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """The handler of the two methods; None for others."""
        if handler_call_details.method not in _METHODS:
            return None

        async def answer(
            requests: AsyncIterator[Any], context: grpc.aio.ServicerContext[Any, Any]
        ) -> AsyncIterator[Any]:
            try:
                identity = self._identify(context)
                self._revocations.require(identity.serial_number)
            except DomainError as error:
                await context.abort(grpc.StatusCode.PERMISSION_DENIED, error.message("en"))
            if not self._policy(identity, handler_call_details.method):
                await context.abort(grpc.StatusCode.PERMISSION_DENIED, "not allowed")
            async for request in requests:
                # Decided anew each time: an agreement may have ended.
                yield self._answer(request, Offer(self._may_call(identity)))

        return grpc.stream_stream_rpc_method_handler(
            answer,
            request_deserializer=pb.ServerReflectionRequest.FromString,
            response_serializer=pb.ServerReflectionResponse.SerializeToString,
        )

    def _may_call(self, identity: Identity) -> Callable[[str], bool]:
        if identity.service is not None:
            return lambda _: True
        _, _, subsystem = identity.path.partition("/")
        today = day_of(self._clock())
        granted = [a for a in self._agreements.of(subsystem) if a.holds(today)]

        def may(method: str) -> bool:
            return method.startswith(f"/{_OWN}") or any(each.covers(method) for each in granted)

        return may

    def _answer(self, request: Any, offer: Offer) -> Any:
        response = pb.ServerReflectionResponse(valid_host=request.host, original_request=request)
        try:
            match request.WhichOneof("message_request"):
                case "list_services":
                    response.list_services_response.service.extend(
                        pb.ServiceResponse(name=name) for name in offer.services(self._services)
                    )
                case "file_by_filename":
                    files = offer.file(request.file_by_filename)
                    response.file_descriptor_response.file_descriptor_proto.extend(files)
                case "file_containing_symbol":
                    files = offer.files_of(request.file_containing_symbol)
                    response.file_descriptor_response.file_descriptor_proto.extend(files)
                case _:
                    response.error_response.error_code = _UNIMPLEMENTED
                    response.error_response.error_message = (
                        "the contract has no extensions to ask for"
                    )
        except KeyError:
            response.error_response.error_code = _NOT_FOUND
            response.error_response.error_message = "there is no such thing, or not for you"
        return response
