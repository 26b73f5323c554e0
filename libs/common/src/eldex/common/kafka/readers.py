"""Who may read a topic from outside: users with passwords (SCRAM), by ACL, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)

from eldex.common.errors import Unavailable
from eldex.common.kafka.record import QUIET

_ITERATIONS: Final = 8192
_ANSWER_SECONDS: Final = 10.0
_LOOKS, _LOOK_SECONDS = 100, 0.05
_ALLOW: Final = AclPermissionType.ALLOW
_MECHANISM: Final = ScramMechanism.SCRAM_SHA_512
_NOT_THERE: Final = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.RESOURCE_NOT_FOUND}
_PLACES: Final = (
    (ResourceType.TOPIC, ResourcePatternType.LITERAL),
    (ResourceType.GROUP, ResourcePatternType.PREFIXED),
)
"""A reader needs the topic, and consumer groups: those whose names begin with the topic's."""
T = TypeVar("T")


class Readers:
    """The readers of topics, each a user of its own; all raises `Unavailable` while Kafka is away."""

    def __init__(self, bootstrap: str) -> None:
        self._admin = AdminClient({"bootstrap.servers": bootstrap, **QUIET})

    async def let(self, topic: str, passwords: Mapping[str, str]) -> None:
        """Let these users (by name) read the topic, and nobody else of those who could."""
        present = await self._of(topic)
        upserts: list[UserScramCredentialAlteration] = [
            UserScramCredentialUpsertion(
                user, ScramCredentialInfo(_MECHANISM, _ITERATIONS), password.encode()
            )
            for user, password in passwords.items()
        ]
        rights = [
            AclBinding(kind, topic, pattern, f"User:{user}", "*", AclOperation.READ, _ALLOW)
            for user in passwords
            for kind, pattern in _PLACES
        ]
        if upserts:
            await self._ask(lambda: self._admin.alter_user_scram_credentials(upserts))
            await self._ask(lambda: self._admin.create_acls(rights))
        await self._turn_away(topic, present - set(passwords))
        await self._known(topic, set(passwords))

    async def _known(self, topic: str, users: set[str]) -> None:
        """Wait until the broker goes by what its controller was told: a reader may come at once."""
        for _ in range(_LOOKS):
            if await self.are(topic, users):
                return
            await asyncio.sleep(_LOOK_SECONDS)
        raise Unavailable("Kafka")

    async def are(self, topic: str, users: set[str] | frozenset[str]) -> bool:
        """Whether exactly these users can read the topic now."""
        describe: Any = self._admin.describe_user_scram_credentials
        named: list[Any] = await self._ask(lambda: describe(sorted(users))) if users else []
        able = {each.user for each in named if each.scram_credential_infos}
        return able == users == await self._of(topic)

    async def close(self, topic: str) -> None:
        """Turn all readers away and remove the topic; one that is not there changes nothing."""
        await self._turn_away(topic, await self._of(topic))
        await self._ask(lambda: self._admin.delete_topics([topic]))

    async def _turn_away(self, topic: str, users: Iterable[str]) -> None:
        gone = sorted(users)
        if not gone:
            return
        # The right first: a connection that is open reads nothing from then on.
        rights = [
            _found(kind, topic, pattern, f"User:{user}")
            for user in gone
            for kind, pattern in _PLACES
        ]
        await self._ask(lambda: self._admin.delete_acls(rights))
        deletions: list[UserScramCredentialAlteration] = [
            UserScramCredentialDeletion(user, _MECHANISM) for user in gone
        ]
        await self._ask(lambda: self._admin.alter_user_scram_credentials(deletions))

    async def _of(self, topic: str) -> set[str]:
        wanted = _found(ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, None)
        found = await self._ask(lambda: {"": self._admin.describe_acls(wanted)})
        return {binding.principal.removeprefix("User:") for binding in found[0]}

    async def _ask(self, begin: Callable[[], Mapping[Any, Future[T]]]) -> list[T]:
        """The results of an order to the broker; what is gone already is no failure."""

        def run() -> list[T]:
            results = []
            for future in begin().values():
                try:
                    results.append(future.result(_ANSWER_SECONDS))
                except KafkaException as error:
                    if error.args[0].code() not in _NOT_THERE:
                        raise Unavailable("Kafka") from error
                except TimeoutError as error:
                    raise Unavailable("Kafka") from error
            return results

        return await asyncio.to_thread(run)


def _found(
    kind: ResourceType, topic: str, pattern: ResourcePatternType, principal: Any
) -> AclBindingFilter:
    host: Any = None
    return AclBindingFilter(
        kind, topic, pattern, principal, host, AclOperation.ANY, AclPermissionType.ANY
    )
