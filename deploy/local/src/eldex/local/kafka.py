"""A real Apache Kafka as a cluster of one node (KRaft: broker and controller in one process)."""

import asyncio
import base64
import os
import shutil
import uuid
from pathlib import Path
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from eldex.local.paths import LOCAL, VAR, put
from eldex.local.ports import HOST, reserve
from eldex.local.process import PartFailed, Process

LIBRARIES: Final = VAR / "kafka" / "libs"
"""The jars that `make setup` fetches (`deploy/local/kafka/pom.xml`)."""

_CLASSES: Final = VAR / "kafka" / "classes.jsa"
"""The broker's classes as the JVM maps them: a start with them takes 2 s instead of 3.3. The first
broker that is stopped in an orderly way writes it; a JVM that it does not fit ignores it."""

_SETTINGS: Final = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}

# One node holds the only copy of everything.
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1

# Topics come from proto/topics, never by accident.
auto.create.topics.enable=false

# After kill -9 a node may register again only when its old session has ended (24 s by default).
broker.session.timeout.ms=1500
broker.heartbeat.interval.ms=500

# A group starts at once, and a consumer that died without a word loses its partitions soon (45 s by
# default) under both group protocols.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.consumer.min.session.timeout.ms=1000
group.consumer.session.timeout.ms=6000
group.consumer.min.heartbeat.interval.ms=500
group.consumer.heartbeat.interval.ms=1000

# Fifty partitions each by default: files to open at every start.
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
share.coordinator.state.topic.num.partitions=1
# 128 MiB of heap by default, for compaction.
log.cleaner.dedupe.buffer.size=16777216
"""


_PARTNERS: Final = """
# Partners read their own topics here: who they are by password (SCRAM, of their subscription), what
# they may by ACL. The house's own listener is open on this machine alone.
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port},PARTNERS://{host}:{partners_port}
advertised.listeners=PLAINTEXT://{host}:{port},PARTNERS://{host}:{partners_port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PARTNERS:SASL_SSL
listener.name.partners.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.partners.scram-sha-512.sasl.jaas.config=\\
  org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.partners.ssl.keystore.type=PEM
listener.name.partners.ssl.keystore.location={keystore}
listener.name.partners.ssl.enabled.protocols=TLSv1.3
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
allow.everyone.if.no.acl.found=false
"""


class Kafka(Process):
    """One Kafka node whose data, in `folder`, survives `stop`, `kill` and a change of ports.

    Ready means that the broker is registered and answers the Kafka API. The first start in a folder
    formats it (some 3 s more).
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        controller_port: int | None = None,
        partners_port: int | None = None,
        partners_tls: Path | None = None,
        log: Path | None = None,
        heap_mb: int = 512,
    ) -> None:
        """Describe a broker; without ports it gets ones that nothing else uses.

        With `partners_tls`, a folder with `cert.pem` and `key.pem`, partners have a listener too.
        """
        self.port = port or reserve()
        self.controller_port = controller_port or reserve()
        self.partners_port = partners_port or (reserve() if partners_tls else 0)
        self._partners_tls = partners_tls
        self.bootstrap = f"{HOST}:{self.port}"
        """For every client of the house."""
        self.partners = f"{HOST}:{self.partners_port}" if partners_tls else ""
        """For partners (SASL_SSL, SCRAM-SHA-512)."""
        self.data = folder / "data"
        self._settings = folder / "server.properties"
        self._java = [
            _java(),
            "-Xms256m",
            f"-Xmx{heap_mb}m",
            *("-XX:+ExitOnOutOfMemoryError", "-XX:-UsePerfData", "-Djava.awt.headless=true"),
            f"-Dlog4j2.configurationFile={LOCAL / 'kafka' / 'log4j2.xml'}",
            *("-cp", str(LIBRARIES / "*")),
        ]
        self._own_classes = folder / "classes.jsa"
        super().__init__(
            "kafka",
            self._command([]),
            log=log or folder / "kafka.log",
            ready=self._answers,
        )

    async def start(self) -> None:
        """Start it, formatting its folder the first time; returns when clients are served."""
        if not LIBRARIES.is_dir():
            raise PartFailed(f"kafka: its jars are not in {LIBRARIES}: run `make setup`")
        self.data.mkdir(parents=True, exist_ok=True)
        self._settings.write_text(self._written_settings(), encoding="utf-8")
        if not (self.data / "meta.properties").exists():
            await self._format_storage()
        if _CLASSES.exists():
            self.argv = self._command([f"-XX:SharedArchiveFile={_CLASSES}"])
        else:
            self.argv = self._command([f"-XX:ArchiveClassesAtExit={self._own_classes}"])
        await super().start()

    async def stop(self) -> None:
        """Stop it in an orderly way (SIGTERM), keeping the classes it archived for the next start."""
        await super().stop()
        if self._own_classes.exists():
            # The folder may be on another file system; no reader may ever see half of it.
            arrived = _CLASSES.with_suffix(f".{os.getpid()}")
            shutil.move(self._own_classes, arrived)
            arrived.replace(_CLASSES)

    def _written_settings(self) -> str:
        ports = {"host": HOST, "port": self.port, "controller_port": self.controller_port}
        written = _SETTINGS.format(data=self.data, **ports)
        if self._partners_tls is not None:
            keystore = self.data.parent / "partners.pem"
            key, certificate = (
                (self._partners_tls / name).read_bytes() for name in ("key.pem", "cert.pem")
            )
            put(keystore, key + certificate, private=True)
            # Of a key that stands twice in the file the last one counts.
            written += _PARTNERS.format(
                partners_port=self.partners_port, keystore=keystore, **ports
            )
        return written

    def _command(self, options: list[str]) -> list[str]:
        return [self._java[0], *options, *self._java[1:], "kafka.Kafka", str(self._settings)]

    async def _format_storage(self) -> None:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        # An id that began with "-" would be read as an option.
        command = [*self._java, "kafka.tools.StorageTool", "format", "--ignore-formatted"]
        command += ["-c", str(self._settings), f"--cluster-id={cluster}"]
        child = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        said, _ = await child.communicate()
        if child.returncode:
            raise PartFailed(
                f"kafka: its folder {self.data} could not be formatted:\n{said.decode()}"
            )

    async def _answers(self) -> bool:
        # Cheap first: an AdminClient complains on standard error for as long as nobody listens.
        _, writer = await asyncio.open_connection(HOST, self.port)
        writer.close()
        return await asyncio.to_thread(self._is_registered)

    def _is_registered(self) -> bool:
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        try:
            return bool(admin.list_topics(timeout=3.0).brokers)
        except KafkaException:
            return False


def _java() -> str:
    home = os.environ.get("JAVA_HOME")
    found = (home and shutil.which("java", path=f"{home}/bin")) or shutil.which("java")
    if not found:
        raise PartFailed(
            "kafka: java is not there: install a JDK 17 or newer (default-jdk-headless)"
        )
    return found
