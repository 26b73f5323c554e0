"""The console as the stack starts it: a process that gets ready, answers, and stops in order."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import uuid
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from eldex.common.rpc.client import channel
from eldex.local.authority import Authority
from eldex.local.ports import reserve
from eldex.local.process import PartFailed, Process, answers_http

if TYPE_CHECKING:
    from services.console.tests.conftest import Console, Death


def the_process(folder: Path, tls_dir: Path, **environment: str) -> tuple[Process, dict[str, int]]:
    ports = {name: reserve() for name in ("listen", "admin_listen", "web_listen", "otlp_listen")}
    addresses = {f"ELDEX_{name.upper()}": f"127.0.0.1:{port}" for name, port in ports.items()}
    env = {
        **{key: value for key, value in os.environ.items() if not key.startswith("ELDEX_")},
        **addresses,
        "ELDEX_CITY": "511700",
        "ELDEX_TLS_DIR": str(tls_dir),
        "ELDEX_SECRETS_DIR": str(folder),
        **environment,
    }
    process = Process(
        "console",
        [sys.executable, "-m", "eldex.console.main"],
        log=folder / "console.log",
        ready=partial(answers_http, ports["admin_listen"], "/readyz"),
        env=env,
    )
    return process, ports


async def test_a_replay_is_seen_in_the_trace_in_which_the_event_was_set_aside(
    console: Console, death: Death
) -> None:
    # A second console on the same database, in a process of its own, so that its own tracing works.
    shared = console.settings
    endpoint = shared.otlp_listen
    process, ports = the_process(
        shared.secrets_dir,
        shared.tls_dir,
        ELDEX_MONGO_URI=shared.mongo_uri,
        ELDEX_MONGO_PREFIX=shared.mongo_prefix,
        ELDEX_PEERS=json.dumps(shared.peers),
        ELDEX_OTLP_ENDPOINT=endpoint,
    )
    console.subsidies.mended = True
    async with process:
        reader = await console.signed_in("operator")
        reader.port = ports["web_listen"]
        form = {
            "department": "subsidies",
            "key": "registry-residents/0/0",
            "request_id": str(uuid.uuid4()),
            "form_token": await reader.form_token(),
        }
        done = await reader.post("/dead-letters/replay", form)
        assert "Replayed" in (await reader.get(done.headers["location"])).text
        metrics = await asyncio.to_thread(
            lambda: urlopen(f"http://127.0.0.1:{ports['admin_listen']}/metrics").read()
        )
        assert b"eldex_peer_calls" in metrics
        async with channel(f"127.0.0.1:{ports['listen']}", shared.tls_dir) as opened:
            stub: Any = health_pb2_grpc.HealthStub(opened)
            health = await stub.Check(health_pb2.HealthCheckRequest())
        assert health.status == health_pb2.HealthCheckResponse.SERVING
        async with grpc.aio.insecure_channel(f"127.0.0.1:{ports['listen']}") as stranger:
            stub = health_pb2_grpc.HealthStub(stranger)
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.Check(health_pb2.HealthCheckRequest())
        await process.stop()
    # The last spans are told while it stops; the console that goes on has them.
    reader.port = console.running.web_port
    page = (await reader.get(f"/traces/{death.trace_id}")).text
    replayed = re.search(
        r'<li data-level="(\d)" id="span-\w+">(?:(?!<li ).)*replay dead letter', page, re.DOTALL
    )
    assert replayed, "the replay stands in the trace of the death"
    assert replayed[1] == "4", "under the span that set the event aside"
    # What the console asks for its own pages is not traced.
    assert "GetFlows" not in (await reader.get("/traces?service=console")).text
    log = (shared.secrets_dir / "console.log").read_text("utf-8")
    # gRPC's own C core may put in a line about the stranger's handshake.
    said = [json.loads(line)["event"] for line in log.splitlines() if line.startswith("{")]
    assert said[0] == "service_started"
    assert said[-1] == "service_stopped"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"ELDEX_SPAN_TTL_DAYS": "0"}, "ELDEX_SPAN_TTL_DAYS"),
        ({"ELDEX_TLS_DIR": "/nowhere"}, "ELDEX_TLS_DIR must hold ca.pem"),
        ({"ELDEX_CITY": "somewhere"}, "ELDEX_CITY"),
        ({"ELDEX_SECRETS_DIR": "damaged"}, "python -m eldex.console.accounts"),
    ],
)
async def test_a_wrong_setting_stops_the_start_and_is_named(
    console: Console,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wrong: dict[str, str],
    said: str,
) -> None:
    tls = Authority.open(tmp_path / "pki").issue("511700/service/console")
    process, _ = the_process(
        tmp_path, tls, **({"ELDEX_MONGO_URI": console.settings.mongo_uri} | wrong)
    )
    monkeypatch.chdir(tmp_path)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "console-accounts.json").write_text("{}")
    with pytest.raises(PartFailed):
        await process.start()
    (line,) = (tmp_path / "console.log").read_text("utf-8").splitlines()
    assert said in line
