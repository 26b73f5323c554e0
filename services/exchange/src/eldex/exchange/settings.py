"""What the exchange is told from outside."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, IPvAnyNetwork

from eldex.common.settings import Settings
from eldex.exchange.domain.delivery.schedule import Schedule


class ExchangeSettings(Settings):
    """What the exchange is told from outside."""

    data_dir: Path
    """Where the message log is kept."""
    max_in_flight: int = Field(256, gt=0)
    """Calls beyond this many at a time are answered RESOURCE_EXHAUSTED; a department may hold half of
    them. At a thousand calls a second these are a quarter of a second of waiting: more would only wait."""
    edge: Literal["grpc", "envoy"] = "grpc"
    """What takes the members' connections: gRPC's own server, or Envoy before it, which costs a call less."""
    subject_keys_dir: Path | None = None
    """Where the keys are kept with which the log hashes whom a record is about; by default
    `subject-keys` in the data folder. Never in the backups of the log: they must be able to forget."""
    partners_file: Path | None = None
    """The keys of partner exchanges (C2SP tlog-policy): `log` whose heads we co-sign, `witness` who
    co-signs ours."""
    partners_tls_dir: Path | None = None
    """A folder for each `witness` of the partners' file that says where it is asked, by its name: the
    certificate that the partner's authority gave us as its member (`ca.pem`, `cert.pem`, `key.pem`)."""
    partner_cities: dict[str, str] = Field(default_factory=dict)
    """The exchanges of partner cities, by division code: `{"500100": "https://exchange.example:17443"}`.
    They are called for our departments with the certificate in `partners_tls_dir/<city>`, and believed
    when they name a department of theirs."""
    witness_seconds: float = Field(15.0, gt=0, le=3600)
    """How often partners are asked to co-sign the head of the message log."""
    checkpoint_seconds: float = Field(1.0, gt=0, le=60)
    """How old the head of the message log may be before it is signed."""
    agreements_file: Path | None = None
    """Agreements to begin with (YAML); those that are known already are left as they are."""
    catalogue_file: Path | None = None
    """The city's departments and the deadlines of its divisions (YAML); by default the model."""
    hub_dir: Path | None = None
    """Where the hub above the city collects the catalogue (前置机); not given: there is no hub."""
    webhook_origin: str = "exchange.eldex.local"
    """The name by which partners' endpoints know this exchange (`WebHook-Request-Origin`)."""
    webhook_allow_http: bool = False
    """Whether endpoints without TLS are posted to; for tests on one machine."""
    webhook_allowed_networks: tuple[IPvAnyNetwork, ...] = ()
    """Private networks that endpoints may be in, such as the government's extranet: 10.20.0.0/16."""
    webhook_ca_file: Path | None = None
    """Further authorities whose certificates endpoints may have."""
    webhook_timeout_seconds: float = Field(15.0, gt=0, le=60)
    webhook_retries_seconds: tuple[float, ...] = Schedule().retries
    """Pauses after each failed try of an event; after the last it is set aside."""
    partner_kafka: str = ""
    """Where members reach Kafka for topics of their own (SASL_SSL, SCRAM-SHA-512), as
    `host:port,…`; empty: topics are not offered."""
    join_listen: str = ""
    """Where somebody without a certificate asks to join (TLS, a token); empty: nowhere."""
    public_address: str = ""
    """Where members reach the exchange, `host:port`; by default where it listens."""
    certificate_hours: float = Field(168.0, gt=0, le=2160)
    """How long a member's certificate counts."""
    webhook_dead_after_seconds: float = Field(Schedule().dead_after, gt=0)
    """When an endpoint has taken nothing for so long, its subscription is paused."""
