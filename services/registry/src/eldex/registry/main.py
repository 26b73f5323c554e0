"""The registry as a process: wiring, and nothing else."""

from __future__ import annotations

from datetime import datetime

from eldex.api.registry.v1 import registry_service_pb2
from eldex.api.registry.v1 import resident_events_pb2 as events
from eldex.common.inbox import EventMeta, Handler, Subscriptions
from eldex.common.regions import Divisions
from eldex.common.sealing import Sealer
from eldex.common.service import Parts, Plan, Served, run, service_descriptor
from eldex.common.settings import Settings
from eldex.registry import store
from eldex.registry.handlers.deaths import settle_on_life_or_death
from eldex.registry.handlers.ports import Stores
from eldex.registry.rpc.base import Tables
from eldex.registry.rpc.service import RegistryService
from eldex.registry.wire.events import event

LifeOrDeath = events.ResidentDeceased | events.ResidentDeathRevoked | events.ResidentMergeReversed


def tables() -> Tables:
    """The tables that the calls look up: divisions, rules of assessment and guardianship."""
    return Tables(Divisions.load(), store.load_assessment_rules(), store.load_guardian_rules())


def subscriptions(_: Parts[Stores] | None = None) -> Subscriptions[Stores]:
    """What the registry listens to: its own deaths, so that a death itself writes one document."""

    async def settle(message: LifeOrDeath, _meta: EventMeta, stores: Stores, now: datetime) -> None:
        await settle_on_life_or_death(message.resident_key, stores, now)

    handler: Handler[Stores] = settle
    return {
        events.ResidentDeceased: handler,
        events.ResidentDeathRevoked: handler,
        events.ResidentMergeReversed: handler,
    }


def plan(settings: Settings) -> Plan[Stores]:
    """The registry, described."""
    store.use_sealer(Sealer.from_folder(settings.secrets_dir, "registry/document"))

    def services(parts: Parts[Stores]) -> Served:
        return [
            (
                service_descriptor(registry_service_pb2, "RegistryService"),
                RegistryService(parts.work, tables()),
            )
        ]

    return Plan(
        name="registry",
        stores=store.stores,
        repositories=store.REPOSITORIES,
        to_message=event,
        services=services,
        subscriptions=subscriptions,
    )


def main() -> None:
    """Run the registry."""
    settings = Settings.read()
    run(plan(settings), settings)


if __name__ == "__main__":
    main()
