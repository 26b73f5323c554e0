"""One city on one machine: its broker, its database and its services, up and down in order."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from eldex.common.rpc import tls
from eldex.console import accounts
from eldex.exchange.store import secrets as exchange_keys
from eldex.local.authority import Authority
from eldex.local.kafka import Kafka
from eldex.local.mongod import Mongod
from eldex.local.neighbours import (
    HOME,
    NEIGHBOUR,
    PARTNERS,
    Neighbour,
    env_of,
    make_known,
)
from eldex.local.paths import VAR, put
from eldex.local.ports import HOST, is_free, reserve
from eldex.local.process import PartFailed, Process, answers_http

SERVICES: Final = (
    "console",
    "registry",
    "medical",
    "subsidies",
    "institutions",
    "credit",
    "exchange",
)
"""The services of a city. The console is first: it receives what the others tell about themselves."""

MEMBERS: Final = (
    "civil-affairs/elder-care",
    "police/household-registration",
    "medical-insurance/claims",
    "health/assessment",
    "market-regulation/supervision",
    "finance/payments",
    "operations/watch",
)
"""Member and subsystem of every caller of the exchange that gets a certificate; partner cities come with
the settings."""

PREPARATIONS: Final = ("eldex.common.topics",)
"""Modules that run once, one after the other, between the broker and the services."""

_PREPARATION_TIMEOUT_S: Final = 60.0
_KAFKA: Final = "part/kafka"
"""Whose certificate partners see; it is no service's, so no service lets it in."""
_FIRST_PORT: Final = 17_000
_OFFSETS: Final = {
    "mongod": 17,
    "kafka": 92,
    "kafka-controller": 93,
    "kafka-partners": 94,
    "console-web": 80,
    "console-otlp": 317,
    **{name: 100 + index for index, name in enumerate(SERVICES)},
    **{f"{name}-admin": 200 + index for index, name in enumerate(SERVICES)},
    "exchange": 443,
    "exchange-join": 444,
}
"""Where each port lies from the first one: `exchange` is 17443, the console's page is 17080."""
_NEIGHBOUR_PORTS: Final = 500
"""How far behind the city's own ports the partner city's are."""
_DATA: Final = Path(__file__).parent / "data"
AGREEMENTS = _DATA / "agreements.yaml"
"""The agreements with which the city begins."""


class BadSetting(Exception):
    """A setting that cannot be used; the message names it and what to change."""


def setting_of(port_name: str) -> str:
    """The environment variable that moves one port, such as `ELDEX_PORT_CONSOLE_WEB`."""
    return f"ELDEX_PORT_{port_name.upper().replace('-', '_')}"


@dataclass(frozen=True)
class Settings:
    """What a city on this machine is: its code, its folder, its ports."""

    city: str
    """Division code of the prefecture, six digits (GB/T 2260)."""
    root: Path
    """Its data, logs, certificates and secrets."""
    ports: Mapping[str, int]
    """By name: each service's own (gRPC) and `-admin`, `mongod`, `kafka` and its others, the console's."""
    trust_domain: str = "eldex.local"
    trace_ratio: float = 1.0
    log_level: str = "info"
    env: Mapping[str, str] = field(default_factory=dict)
    """More environment for every service."""
    neighbours: tuple[Neighbour, ...] = ()

    @property
    def neighbour(self) -> Neighbour:
        """This city, as its partners know it."""
        return Neighbour(self.city, self.root, f"{HOST}:{self.ports['exchange']}")

    @classmethod
    def from_env(cls, city: str = "511700", env: Mapping[str, str] = os.environ) -> Self:
        """The city in `var/<city>`: ports from `ELDEX_PORT_BASE` on, each movable by `ELDEX_PORT_<NAME>`.

        The partner city's are 500 behind, and move with the base alone.
        """
        if not re.fullmatch(r"[1-9]\d(?!00)\d\d00", city):
            raise BadSetting(f"city {city!r}: give a prefecture's division code, such as 511700")
        base = _number(env, "ELDEX_PORT_BASE", _FIRST_PORT)
        own = {
            name: _number(env, setting_of(name), base + offset) for name, offset in _OFFSETS.items()
        }
        behind = {name: base + _NEIGHBOUR_PORTS + offset for name, offset in _OFFSETS.items()}
        other, ports = (HOME, behind) if city == NEIGHBOUR else (NEIGHBOUR, own)
        theirs = own if city == NEIGHBOUR else behind
        neighbour = Neighbour(other, VAR / other, f"{HOST}:{theirs['exchange']}")
        try:
            ratio = float(env.get("ELDEX_TRACE_RATIO", "1.0"))
        except ValueError:
            ratio = -1.0
        if not 0.0 <= ratio <= 1.0:
            raise BadSetting("ELDEX_TRACE_RATIO: give the share of calls to trace, from 0 to 1")
        level = env.get("ELDEX_LOG_LEVEL", "info")
        return cls(
            city=city,
            root=VAR / city,
            ports=ports,
            trace_ratio=ratio,
            log_level=level,
            neighbours=(neighbour,) if city in {HOME, NEIGHBOUR} else (),
        )

    @classmethod
    def for_tests(cls, root: Path, *, city: str = "511700", **more: str) -> Self:
        """A city in a temporary folder, on ports that nothing else uses; `more` is added to `env`."""
        return cls(city=city, root=root, ports={name: reserve() for name in _OFFSETS}, env=more)

    def beside(self, *others: Settings) -> Settings:
        """The same city, which knows these as its partners."""
        return replace(self, neighbours=tuple(other.neighbour for other in others))


def _number(env: Mapping[str, str], name: str, otherwise: int) -> int:
    text = env.get(name, str(otherwise))
    if not text.isascii() or not text.isdigit() or not 1024 <= int(text) <= 65_000:
        raise BadSetting(f"{name}={text!r}: give a port between 1024 and 65000")
    return int(text)


class Stack:
    """The parts of one city: broker and database, then topics, then the services.

    `await stack.up()` returns when every part is ready, or raises `PartFailed` and leaves nothing
    running. Data stays in the folder between runs. Parts are reached by name in `parts`, to be killed
    and started again by a test of crashes, or watched (`up(watch=True)`) so that they come back alone.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        services: Sequence[str] = SERVICES,
        preparations: Sequence[str] = PREPARATIONS,
    ) -> None:
        """Describe a city; nothing is started, no file is written."""
        self.settings = settings
        root, ports = settings.root, settings.ports
        self.logs = root / "logs"
        self.pki = root / "pki"
        self.secrets = root / "secrets"
        self.mongod = Mongod(root / "mongod", port=ports["mongod"], log=self.logs / "mongod.log")
        self.kafka = Kafka(
            root / "kafka",
            port=ports["kafka"],
            controller_port=ports["kafka-controller"],
            partners_port=ports["kafka-partners"],
            partners_tls=self.identity(_KAFKA),
            log=self.logs / "kafka.log",
        )
        self._preparations = tuple(preparations)
        self.services = tuple(services)
        self.parts: dict[str, Process] = {"mongod": self.mongod, "kafka": self.kafka}
        """Every part by name, in the order of their start."""
        self.parts |= {name: self._service(name) for name in self.services}
        self.on_progress: Callable[[str], None] = lambda _: None
        """Called with a line a person understands whenever a step is done."""
        for part in self.parts.values():
            # By this mark of the environment `leftovers` finds what belongs to a city.
            part.env["ELDEX_STACK"] = str(root)

    async def up(self, *, watch: bool = False) -> None:
        """Bring every part up; ready parts of a failing start are stopped again."""
        self.check_ports()
        self.make_identities()
        try:
            await self._start_all([self.mongod, self.kafka])
            for module in self._preparations:
                await self._prepare(module)
            await self._start_all([self.parts[name] for name in self.services])
        except BaseException:
            await self.down()
            raise
        if watch:
            for part in self.parts.values():
                part.watch()

    async def down(self) -> None:
        """Stop every part: the services first, so that they can still drain into broker and database.

        Of these the console last: the others wait some seconds for somebody to take their last spans.
        """
        names = set(self.services)
        for group in (names - {"console"}, names & {"console"}):
            await asyncio.gather(*(self.parts[name].stop() for name in group))
        await asyncio.gather(self.kafka.stop(), self.mongod.stop())

    async def __aenter__(self) -> Self:
        """Bring it up, for the length of a block."""
        await self.up()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take it down."""
        await self.down()

    def identity(self, path: str) -> Path:
        """The folder with the certificate of `service/<name>` or `member/<member>/<subsystem>`."""
        return self.pki / path

    def neighbour_identity(self, city: str) -> Path:
        """The folder with the certificate that a partner city has given to our exchange."""
        return self.settings.root / PARTNERS / city

    def _partner_cities(self) -> list[str]:
        return [each.city for each in self.settings.neighbours] or [NEIGHBOUR]

    def address(self, port_name: str) -> str:
        """`host:port` of a port by its name in the settings."""
        return f"{HOST}:{self.settings.ports[port_name]}"

    def check_ports(self) -> None:
        """Raise `PartFailed` naming every port of ours that is taken, its part, and the setting to change."""
        taken = [
            f"port {self.settings.ports[name]} is in use, so {name} cannot listen on it: "
            f"choose another with {setting_of(name)}, or move all ports with ELDEX_PORT_BASE"
            for name in self._port_names()
            if not is_free(self.settings.ports[name])
        ]
        if taken:
            raise PartFailed("\n".join(taken))

    def make_identities(self) -> None:
        """Make what is missing of certificates and secrets."""
        city = self.settings.city
        authority = Authority.open(self.pki, self.settings.trust_domain)
        for path in (
            _KAFKA,
            *(f"service/{name}" for name in self.services),
            *(f"member/{name}" for name in MEMBERS),
            # For whoever comes from a partner city; the model city's always is one.
            *(f"member/partner-{name}/elder-care" for name in self._partner_cities()),
        ):
            authority.issue(f"{city}/{path}", self.identity(path))
        make_known(city, self.settings.root, self.settings.neighbours, self.settings.trust_domain)
        self.secrets.mkdir(parents=True, exist_ok=True, mode=0o700)
        sealing = self.secrets / "sealing.key"
        if not sealing.exists():
            # What it seals cannot be read without it: never made again beside existing data.
            put(sealing, secrets.token_hex(64).encode(), private=True)
        if "console" in self.services:
            accounts.ensure(self.secrets)
        if "exchange" in self.services:
            exchange_keys.ensure(self.secrets, city)

    def _port_names(self) -> list[str]:
        names = ["mongod", "kafka", "kafka-controller", "kafka-partners"]
        for service in self.services:
            names += [service, f"{service}-admin"]
        if "exchange" in self.services:
            names.append("exchange-join")
        return names + (["console-web", "console-otlp"] if "console" in self.services else [])

    def service_env(self, name: str) -> dict[str, str]:
        """The environment of one service: everything it is told about where it runs."""
        settings = self.settings
        peers = {peer: self.address(peer) for peer in self.services if peer != name}
        env = {key: value for key, value in os.environ.items() if not key.startswith("ELDEX_")} | {
            "PYTHONUNBUFFERED": "1",
            tls.SUITES_VARIABLE: tls.NO_TLS_1_2,
            "ELDEX_STACK": str(settings.root),
            "ELDEX_CITY": settings.city,
            "ELDEX_INSTANCE": f"{name}-0",
            "ELDEX_LISTEN": self.address(name),
            "ELDEX_ADMIN_LISTEN": self.address(f"{name}-admin"),
            "ELDEX_MONGO_URI": self.mongod.uri,
            "ELDEX_MONGO_PREFIX": f"eldex_{settings.city}",
            "ELDEX_KAFKA_BOOTSTRAP": self.kafka.bootstrap,
            "ELDEX_TLS_DIR": str(self.identity(f"service/{name}")),
            "ELDEX_OTLP_ENDPOINT": self.address("console-otlp")
            if "console" in self.services
            else "",
            "ELDEX_TRACE_RATIO": str(settings.trace_ratio),
            "ELDEX_SECRETS_DIR": str(self.secrets),
            "ELDEX_PEERS": json.dumps(peers),
            "ELDEX_DATA_DIR": str(settings.root / "data" / name),
            "ELDEX_LOG_LEVEL": settings.log_level,
        }
        if name == "console":
            env["ELDEX_WEB_LISTEN"] = self.address("console-web")
            env["ELDEX_OTLP_LISTEN"] = self.address("console-otlp")
        if name == "exchange":
            own = _DATA / f"agreements-{settings.city}.yaml"
            env["ELDEX_AGREEMENTS_FILE"] = str(own if own.exists() else AGREEMENTS)
            env |= env_of(settings.root, settings.neighbours)
            env["ELDEX_PARTNER_KAFKA"] = self.kafka.partners
            env["ELDEX_JOIN_LISTEN"] = self.address("exchange-join")
            env["ELDEX_EDGE"] = "envoy" if find_spec("envoy") else "grpc"
        return env | dict(settings.env)

    def _service(self, name: str) -> Process:
        admin = self.settings.ports[f"{name}-admin"]
        return Process(
            name,
            [sys.executable, "-m", f"eldex.{name}.main"],
            log=self.logs / f"{name}.log",
            env=self.service_env(name),
            ready=partial(answers_http, admin, "/readyz"),
        )

    async def _start_all(self, parts: Sequence[Process]) -> None:
        """Start parts side by side; the first failure ends the others' start."""
        starts = [asyncio.create_task(self._start(part)) for part in parts]
        try:
            await asyncio.gather(*starts)
        except BaseException:
            for start in starts:
                start.cancel()
            await asyncio.gather(*starts, return_exceptions=True)
            raise

    async def _start(self, part: Process) -> None:
        began = time.monotonic()
        await part.start()
        self.on_progress(f"{part.name} is ready ({time.monotonic() - began:.1f} s)")

    async def _prepare(self, module: str) -> None:
        """Run a module to its end in a service's environment (any will do; it is nobody's in particular)."""
        began = time.monotonic()
        log = self.logs / f"{module.rsplit('.', 1)[-1]}.log"
        with log.open("wb") as file:
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", module),
                env=self.service_env(self.services[0]) | {"ELDEX_INSTANCE": "preparation-0"},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
            try:
                code = await asyncio.wait_for(child.wait(), _PREPARATION_TIMEOUT_S)
            except BaseException as error:
                child.kill()
                await child.wait()
                if isinstance(error, TimeoutError):
                    raise PartFailed(
                        f"{module} was not done after {_PREPARATION_TIMEOUT_S:.0f} s"
                    ) from error
                raise
        if code:
            said = "\n".join(log.read_text("utf-8", "replace").splitlines()[-25:])
            raise PartFailed(
                f"{module} ended with code {code}; the end of its log ({log}):\n{said}"
            )
        self.on_progress(f"{module} is done ({time.monotonic() - began:.1f} s)")
