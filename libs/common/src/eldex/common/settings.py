"""What a service is told from outside, read once, in `main`.

Environment variables with the prefix `ELDEX_`; a wrong value stops the start and names the variable.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

_UNREAD = re.compile(r'error parsing value for field "(\w+)"')
"""How pydantic tells that a variable does not hold JSON; the field is in the text only."""


class Settings(BaseSettings):
    """The settings that every service has."""

    model_config = SettingsConfigDict(env_prefix="ELDEX_", frozen=True, extra="ignore")

    city: str = Field(pattern=r"^[0-9]{6}$")
    """Division code of the city whose exchange this is."""
    instance: str = "service-0"
    """This process among its replicas, e.g. registry-0."""
    listen: str = "127.0.0.1:0"
    """Where gRPC is served, with mutual TLS."""
    admin_listen: str = "127.0.0.1:0"
    """Where /healthz, /readyz and /metrics are served (plain HTTP)."""
    health_listen: str = ""
    """Where grpc.health.v1 is also served without TLS, for probes; empty: nowhere."""
    mongo_uri: str = "mongodb://127.0.0.1:27017/?replicaSet=rs0"
    mongo_prefix: str = "eldex"
    """The database is `<prefix>_<service>`."""
    kafka_bootstrap: str = "127.0.0.1:9092"
    tls_dir: Path
    """Folder with ca.pem, cert.pem and key.pem; read again when they change."""
    secrets_dir: Path
    """Folder with the secret files (`sealing.key`)."""
    otlp_endpoint: str = ""
    """Where spans go (OTLP gRPC, host:port); empty: nowhere."""
    trace_ratio: float = Field(0.1, ge=0, le=1)
    peers: dict[str, str] = {}
    """Service name → host:port."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    max_in_flight: int = Field(2_000, gt=0)
    """Calls beyond this many at a time are answered RESOURCE_EXHAUSTED."""

    @classmethod
    def read(cls) -> Self:
        """The settings of this process; ends it with one clear line per wrong variable."""
        try:
            return cls.model_validate({})
        except ValidationError as error:
            for problem in error.errors():
                unread = _UNREAD.search(problem["msg"])
                name, *inside = (unread[1],) if unread else map(str, problem["loc"])
                said = ": ".join([*inside, "is not JSON" if unread else problem["msg"]])
                print(f"ELDEX_{name.upper()}: {said}", file=sys.stderr)  # noqa: T201 - logs are not set up yet
            raise SystemExit(2) from None
