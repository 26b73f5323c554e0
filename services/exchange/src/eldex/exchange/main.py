"""The exchange as a process: wiring, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import yaml
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.json_format import ParseDict

from eldex.api.exchange.v1 import (
    access_service_pb2,
    agreement_pb2,
    catalogue_service_pb2,
    delivery_service_pb2,
    evidence_service_pb2,
    exchange_service_pb2,
    joining_service_pb2,
    membership_service_pb2,
)
from eldex.common.contract import load_contract
from eldex.common.errors import CannotStart
from eldex.common.identifiers import RegionCode
from eldex.common.rpc.call import Identity
from eldex.common.rpc.client import Peer, channel
from eldex.common.rpc.policy import at_home
from eldex.common.rpc.revocation import Revocations, identity_of
from eldex.common.rpc.tls import CertificateFiles
from eldex.common.rpc.trunk import Trunk
from eldex.common.sealing import Sealer
from eldex.common.service import Parts, Plan, Served, run, service_descriptor
from eldex.common.store import Mark
from eldex.evidence.subjects import SubjectKeys
from eldex.exchange import wire
from eldex.exchange.domain.delivery.endpoints import Rules
from eldex.exchange.domain.delivery.schedule import Schedule
from eldex.exchange.handlers import Stores
from eldex.exchange.handlers.agreements import put_agreement
from eldex.exchange.handlers.delivery_evidence import LoggedDeliveries
from eldex.exchange.handlers.dispatch import Dispatch, Outside
from eldex.exchange.handlers.witnessing import Witnessing
from eldex.exchange.peers import GrpcWitnesses, HttpWebhooks, PartnerExchange, address_of
from eldex.exchange.rpc import agreement_table
from eldex.exchange.rpc.access_service import AccessService
from eldex.exchange.rpc.admin_log import Logged
from eldex.exchange.rpc.agreement_table import AgreementTable
from eldex.exchange.rpc.catalogue import CatalogueService
from eldex.exchange.rpc.cedar import AgreedJudge, CedarJudge
from eldex.exchange.rpc.delivery_service import DeliveryService
from eldex.exchange.rpc.edge.envoy import Edge
from eldex.exchange.rpc.evidence import EvidenceService
from eldex.exchange.rpc.forwarding import Forwarding, ForwardingDoor, Identify, department_of
from eldex.exchange.rpc.gate import Gate
from eldex.exchange.rpc.join_door import Allowance, JoinDoor
from eldex.exchange.rpc.masking import EventFields, check_grants
from eldex.exchange.rpc.membership_service import JoiningService, Known, MembershipService
from eldex.exchange.rpc.people import People
from eldex.exchange.rpc.reflection import ReflectionDoor
from eldex.exchange.rpc.review_watch import ReviewWatch
from eldex.exchange.rpc.revocation_watch import RevocationWatch
from eldex.exchange.rpc.roles import Roles
from eldex.exchange.rpc.service import ExchangeService, may_call
from eldex.exchange.rpc.subjects import Subjects
from eldex.exchange.settings import ExchangeSettings
from eldex.exchange.store import feed as feed_store
from eldex.exchange.store import places, record_index, secrets, volumes
from eldex.exchange.store.agreement_history import MongoAgreementHistory
from eldex.exchange.store.authority import FileAuthority
from eldex.exchange.store.collections import REPOSITORIES, stores
from eldex.exchange.store.deliveries import MongoMemories
from eldex.exchange.store.feed import Feed
from eldex.exchange.store.hub_folder import HubFolder
from eldex.exchange.store.message_log import MessageLog
from eldex.exchange.store.partner_topics import KafkaPartnerTopics
from eldex.exchange.store.places import MongoPlaces
from eldex.exchange.store.record_index import RecordIndex
from eldex.exchange.store.volumes import MongoVolumes
from eldex.exchange.store.witness import FilePartners, read_partners
from eldex.exchange.wire.catalogue_file import read_settings
from eldex.exchange.wire.contract_catalogue import described, services

_WITNESS_TIMEOUT_SECONDS = 10.0
_DRAIN_SECONDS = 5.0


class Exchange:
    """The exchange's own objects, built once the database is there."""

    def __init__(
        self, parts: Parts[Stores], settings: ExchangeSettings, revocations: Revocations
    ) -> None:
        self.parts, self.settings, self.revocations = parts, settings, revocations
        self.identify: Identify = identity_of
        self.agreements = AgreementTable(parts.work)
        self.places = MongoPlaces(parts.backend)
        self.feed = Feed(parts.backend, self.places.writes)
        self.subject_keys = SubjectKeys(
            settings.subject_keys_dir or settings.data_dir / "subject-keys"
        )
        signer = secrets.read_signer(settings.secrets_dir / secrets.LOG)
        witness = secrets.read_signer(settings.secrets_dir / secrets.WITNESS)
        self.log = MessageLog(
            settings.data_dir / "message-log",
            signer,
            self.subject_keys,
            RecordIndex(parts.backend),
            parts.clock,
            interval_seconds=settings.checkpoint_seconds,
        )
        evidence, event_masks = LoggedDeliveries(self.log, Subjects().of_event), EventFields()
        seals = Sealer.from_folder(settings.secrets_dir, "exchange.webhook-secret")
        self.webhooks = HttpWebhooks(
            settings.webhook_origin,
            Rules(settings.webhook_allow_http, tuple(map(str, settings.webhook_allowed_networks))),
            timeout_seconds=settings.webhook_timeout_seconds,
            ca_file=settings.webhook_ca_file,
        )
        self.topics = KafkaPartnerTopics(
            settings.kafka_bootstrap, settings.partner_kafka, settings.instance
        )
        memories = MongoMemories(parts.backend, parts.work.commit)
        schedule = Schedule(
            retries=settings.webhook_retries_seconds,
            dead_after=settings.webhook_dead_after_seconds,
        )
        self.dispatch = Dispatch(
            parts.work,
            self.agreements.all,
            self.feed,
            Outside(self.webhooks, self.topics, memories, evidence, event_masks, seals, schedule),
            parts.clock,
        )
        self.roles = Roles(RegionCode.parse(settings.city), self.agreements, parts.clock)
        self.service = ExchangeService(
            parts.work,
            self.agreements,
            self.feed,
            self.log,
            parts.clock,
            self.dispatch,
            event_masks,
            evidence,
            self.roles,
        )
        self.deliveries = DeliveryService(
            parts.work,
            self.agreements,
            self.feed,
            self.dispatch,
            self.webhooks,
            self.topics,
            seals,
        )
        policy = read_partners(settings.partners_file)
        partners = FilePartners(settings.data_dir / "witness", signer.verifier, witness, policy)
        asked = self._witnesses(policy.urls if policy else {})
        self.witnessing = Witnessing(
            self.log,
            partners,
            GrpcWitnesses(asked),
            list(asked),
            parts.clock,
            settings.witness_seconds,
        )
        self.evidence = EvidenceService(
            parts.work, self.log, self.subject_keys, partners, self.roles, witness.verifier
        )

        home = RegionCode.parse(settings.city)
        judge = AgreedJudge(CedarJudge())
        people = People(self.places, parts.work, parts.clock)
        self.gate = Gate(
            home=home,
            table=self.agreements,
            judge=judge,
            people=people,
            volumes=MongoVolumes(parts.backend),
            work=parts.work,
            clock=parts.clock,
        )
        self.catalogue_settings = read_settings(settings.catalogue_file)
        self.catalogue = CatalogueService(
            parts.work, self.agreements, self.catalogue_settings.rules, home, parts.clock
        )
        self.reviews = ReviewWatch(parts.work)
        self.authority = FileAuthority(
            settings.secrets_dir,
            f"spiffe://{_trust_domain(settings.tls_dir)}/{settings.city}/",
            timedelta(hours=settings.certificate_hours),
        )
        self.known = Known(settings.tls_dir, settings.public_address or settings.listen)
        self.revocation_watch = RevocationWatch(parts.work, revocations)
        self.membership = MembershipService(
            work=parts.work,
            agreements=self.agreements,
            authority=self.authority,
            revocations=self.revocation_watch,
            known=self.known,
            city=home,
        )
        self.access = AccessService(
            home=home,
            work=parts.work,
            table=self.agreements,
            history=MongoAgreementHistory(parts.backend),
            judge=judge,
            people=people,
            log=self.log,
            clock=parts.clock,
        )

    async def start(self) -> None:
        """Open the log and the feed, and take in the agreements to begin with."""
        load_contract()
        await self.parts.backend.prepare(
            {
                **feed_store.COLLECTIONS,
                **record_index.COLLECTIONS,
                **places.COLLECTIONS,
                **volumes.COLLECTIONS,
                **agreement_table.COLLECTIONS,
            }
        )
        self.forwarding = self._forwarding()
        await self.places.start()
        await self.feed.start()
        await self.log.start()
        await self.evidence.forget_what_was_approved()
        self.parts.stack.push_async_callback(self.log.close)
        self.parts.stack.push_async_callback(self.webhooks.close)
        self.parts.stack.callback(self.topics.stop)
        for agreement in read_agreements(self.settings.agreements_file):
            mark = Mark(f"agreements-file/{agreement.agreement_key}")
            wanted = wire.agreement_in(agreement)
            check_grants(wanted)

            async def begin_with(ports: Stores, _: object) -> None:
                if await ports.agreements.find(wanted.key) is None:  # noqa: B023 - awaited below
                    await put_agreement(wanted, "", ports)  # noqa: B023

            await self.parts.work.write(mark, begin_with)
        await self.agreements.refresh()
        await self.revocation_watch.refresh()
        await self.catalogue.publish(described(self.catalogue_settings.providers))
        if self.settings.hub_dir is not None:
            document, _ = await self.catalogue.export()
            await HubFolder(self.settings.hub_dir).submit(document)
        if self.settings.join_listen:
            await self._open_join_door(self.settings.join_listen)

    async def _open_join_door(self, listen: str) -> None:
        joining = JoiningService(
            self.parts.work, self.authority, self.catalogue_settings.rules, self.known
        )
        _, logged = self.logged(joining_service_pb2, "JoiningService", joining)
        door = JoinDoor(logged, self.parts.clock, self.settings.city, Allowance())
        server, _ = await door.open(listen, self.settings.tls_dir)
        self.parts.stack.push_async_callback(server.stop, _DRAIN_SECONDS)

    def _witnesses(self, urls: Mapping[str, str]) -> dict[str, Peer]:
        """The exchanges that are asked to co-sign, by the name of the witness."""
        opened = self._channels(urls)
        return {name: Peer(each, name, _WITNESS_TIMEOUT_SECONDS) for name, each in opened.items()}

    def _channels(self, urls: Mapping[str, str]) -> dict[str, grpc.aio.Channel]:
        """To exchanges of partners, each with the certificate that the partner gave us."""
        folder = self.settings.partners_tls_dir
        if urls and folder is None:
            raise CannotStart(
                "ELDEX_PARTNERS_TLS_DIR must be given: a folder with our certificate for each of "
                f"{', '.join(urls)}"
            )
        found = {}
        for name, url in urls.items():
            assert folder is not None
            found[name] = channel(address_of(url), folder / name)
            self.parts.stack.push_async_callback(found[name].close)
        return found

    def logged(self, module: Any, name: str, service: object) -> tuple[ServiceDescriptor, Logged]:
        """A service of the exchange itself, whose writes are evidence too."""
        descriptor = service_descriptor(module, name)
        return descriptor, Logged(descriptor, service, self.log, self.roles)

    def _forwarding(self) -> Forwarding:
        """The way to every department, on one trunk each."""
        trunks = {}
        for name, target in self.settings.peers.items():
            opened = channel(target, self.settings.tls_dir)
            trunks[name] = Trunk(opened)
            self.parts.stack.push_async_callback(opened.close)
            self.parts.stack.push_async_callback(trunks[name].close)
        channels = self._channels(self.settings.partner_cities)
        abroad = {city: PartnerExchange(each) for city, each in channels.items()}
        home, most = RegionCode.parse(self.settings.city), self.settings.max_in_flight
        return Forwarding(trunks, self.gate, self.log, most, home, abroad, self.revocations)

    def edge(self) -> Edge | None:
        """Envoy before the server, if the settings want it."""
        told = self.settings
        if told.edge == "grpc":
            return None
        where = (told.data_dir / "edge", told.listen, told.tls_dir)
        edge = Edge(self.forwarding, *where, self.authority.pem)
        self.identify = edge.identify
        return edge

    def reflection(self) -> ReflectionDoor:
        """The contract, to each caller as far as it may call it."""
        reached = {*self.settings.peers, "exchange"}
        names = [
            name
            for name in services()
            if department_of(f"/{name}/") in reached and not name.endswith(".JoiningService")
        ]
        policy = at_home(self.settings.city, may_call)
        return ReflectionDoor(
            names, self.agreements, self.identify, self.revocations, policy, self.parts.clock
        )


def read_agreements(path: Path | None) -> list[agreement_pb2.Agreement]:
    """The agreements of a YAML file: a list in the form of the contract's message."""
    if path is None:
        return []
    return [
        ParseDict(entry, agreement_pb2.Agreement()) for entry in yaml.safe_load(path.read_text())
    ]


def _trust_domain(tls_dir: Path) -> str:
    """That of the exchange's own certificate: its members are named in it, too."""
    for uri in CertificateFiles(tls_dir).uris:
        if (identity := Identity.of_uri(uri)) is not None:
            return identity.trust_domain
    raise CannotStart(f"{tls_dir}/cert.pem has no spiffe:// URI that names the exchange")


def plan(settings: ExchangeSettings) -> Plan[Stores]:
    """The exchange, described."""
    made: list[Exchange] = []
    revocations = Revocations()

    async def prepare(parts: Parts[Stores]) -> None:
        exchange = Exchange(parts, settings, revocations)
        await exchange.start()
        made.append(exchange)

    def served(_: Parts[Stores]) -> Served:
        exchange = made[0]
        return [
            exchange.logged(exchange_service_pb2, "ExchangeService", exchange.service),
            exchange.logged(access_service_pb2, "AccessService", exchange.access),
            exchange.logged(delivery_service_pb2, "DeliveryService", exchange.deliveries),
            exchange.logged(evidence_service_pb2, "EvidenceService", exchange.evidence),
            exchange.logged(catalogue_service_pb2, "CatalogueService", exchange.catalogue),
            exchange.logged(membership_service_pb2, "MembershipService", exchange.membership),
        ]

    def doors(_: Parts[Stores]) -> Sequence[grpc.GenericRpcHandler]:
        exchange = made[0]
        return [exchange.reflection(), ForwardingDoor(exchange.forwarding, exchange.identify)]

    return Plan(
        name="exchange",
        stores=stores,
        repositories=REPOSITORIES,
        to_message=wire.event,
        services=served,
        prepare=prepare,
        take=lambda _: made[0].feed.append,
        policy=may_call,
        front=lambda _: made[0].edge(),
        doors=doors,
        tasks=lambda _: [
            made[0].agreements.run,
            made[0].reviews.run,
            made[0].dispatch.run,
            made[0].witnessing.run,
            made[0].revocation_watch.run,
        ],
        also_trusted=lambda _: made[0].authority.pem,
        revocations=revocations,
    )


def main() -> None:
    """Run the exchange."""
    settings = ExchangeSettings.read()
    run(plan(settings), settings)


if __name__ == "__main__":
    main()
