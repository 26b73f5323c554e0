"""A whole city: up in order, told where everything is, down without a trace; and what is wrong said."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml

from eldex.api.topics import load_topics
from eldex.local import supervisor
from eldex.local.ports import reserve
from eldex.local.process import PartFailed, State
from eldex.local.stack import AGREEMENTS, BadSetting, Settings, Stack
from eldex.local.supervisor import Phase

# A service as the stack knows one: it listens where it is told and says when it is ready. It shows
# the environment it was given, which is what is asserted below.
GREETER = """
import http.server, json, os
class Admin(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        told = {k: v for k, v in os.environ.items() if k.startswith("ELDEX_")}
        self.send_response(200 if self.path in ("/readyz", "/told") else 404)
        self.end_headers()
        self.wfile.write(json.dumps(told).encode())
    def log_message(self, *_): pass
def main():
    host, port = os.environ["ELDEX_ADMIN_LISTEN"].split(":")
    http.server.HTTPServer((host, int(port)), Admin).serve_forever()
if __name__ == "__main__":
    main()
"""
TOPICS = """
import os
print("no topic was made at", os.environ["ELDEX_KAFKA_BOOTSTRAP"])
raise SystemExit(int(os.environ.get("ELDEX_TEST_TOPICS_CODE", "0")))
"""


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two modules of the eldex namespace that children (and nobody else) can import."""
    root = tmp_path / "modules"
    (root / "eldex" / "greeter").mkdir(parents=True)
    (root / "eldex" / "greeter" / "main.py").write_text(GREETER)
    (root / "eldex" / "greeter" / "topics.py").write_text(TOPICS)
    monkeypatch.setenv("PYTHONPATH", str(root))
    return root


def a_city(root: Path, **env: str) -> Stack:
    settings = Settings.for_tests(root, **env)
    ports = {**settings.ports, "greeter": reserve(), "greeter-admin": reserve()}
    settings = Settings(city=settings.city, root=root, ports=ports, env=env)
    return Stack(settings, services=["greeter"], preparations=["eldex.greeter.topics"])


def ask(address: str, path: str) -> bytes:
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        with connection.makefile("rb") as answer:
            return answer.read().split(b"\r\n\r\n", 1)[1]


@pytest.mark.usefixtures("modules")
async def test_a_city_comes_up_in_order_and_each_service_is_told_where_everything_is(
    tmp_path: Path,
) -> None:
    stack = a_city(tmp_path / "city")
    steps: list[str] = []
    stack.on_progress = steps.append
    async with stack:
        told = json.loads(ask(stack.address("greeter-admin"), "/told"))
        assert {step.split()[0] for step in steps[:2]} == {"mongod", "kafka"}
        assert [step.split()[0] for step in steps[2:]] == ["eldex.greeter.topics", "greeter"]
        assert told["ELDEX_CITY"] == "511700"
        assert told["ELDEX_INSTANCE"] == "greeter-0"
        assert told["ELDEX_MONGO_URI"] == stack.mongod.uri
        assert told["ELDEX_KAFKA_BOOTSTRAP"] == stack.kafka.bootstrap
        assert told["ELDEX_OTLP_ENDPOINT"] == ""  # there is no console in it to take spans
        assert sorted(file.name for file in Path(told["ELDEX_TLS_DIR"]).iterdir()) == [
            "ca.pem",
            "cert.pem",
            "key.pem",
        ]
        sealing = Path(told["ELDEX_SECRETS_DIR"]) / "sealing.key"
        assert len(bytes.fromhex(sealing.read_text())) == 64
        assert sealing.stat().st_mode & 0o777 == 0o600
        assert supervisor.leftovers(stack.settings.root).keys() == {
            part.pid for part in stack.parts.values()
        }
    assert supervisor.leftovers(stack.settings.root) == {}
    assert all(part.state is State.STOPPED for part in stack.parts.values())


@pytest.mark.usefixtures("modules")
async def test_the_console_is_there_until_the_others_have_told_their_last(tmp_path: Path) -> None:
    settings = a_city(tmp_path / "city").settings
    stack = Stack(settings, services=["console", "greeter"])
    stack.parts["console"].argv = stack.parts["greeter"].argv
    ended: list[str] = []
    for name in stack.services:
        await stack.parts[name].start()
    for name in stack.services:
        stack.parts[name].on_change = partial(ended.append, name)
    await stack.down()
    assert ended == ["greeter", "console"]


@pytest.mark.usefixtures("modules")
async def test_when_topics_cannot_be_made_it_is_said_and_nothing_is_left_running(
    tmp_path: Path,
) -> None:
    stack = a_city(tmp_path / "city", ELDEX_TEST_TOPICS_CODE="3")
    with pytest.raises(PartFailed) as failure:
        await stack.up()
    said = str(failure.value)
    assert "eldex.greeter.topics ended with code 3" in said
    assert "no topic was made at" in said
    assert supervisor.leftovers(stack.settings.root) == {}


async def test_a_port_in_use_is_named_with_its_part_and_the_setting_to_change(
    tmp_path: Path,
) -> None:
    stack = Stack(Settings.for_tests(tmp_path), services=["exchange"])
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", stack.settings.ports["exchange"]))
        taken.listen()
        with pytest.raises(PartFailed) as failure:
            await stack.up()
    said = str(failure.value)
    assert f"port {stack.settings.ports['exchange']} is in use" in said
    assert "exchange" in said
    assert "ELDEX_PORT_EXCHANGE" in said
    assert not (tmp_path / "mongod").exists(), "nothing was started"


def test_identities_and_the_sealing_key_stay_the_same_between_runs(tmp_path: Path) -> None:
    def kept() -> dict[Path, bytes]:
        return {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}

    settings = Settings.for_tests(tmp_path)
    Stack(settings).make_identities()
    before = kept()
    Stack(settings).make_identities()
    assert kept() == before
    assert (tmp_path / "pki/member/civil-affairs/elder-care/cert.pem") in before
    assert (tmp_path / "pki/member/partner-500100/elder-care/key.pem") in before


def test_every_service_knows_its_peers_and_only_the_console_serves_pages(tmp_path: Path) -> None:
    stack = Stack(Settings.for_tests(tmp_path))
    peers = json.loads(stack.service_env("subsidies")["ELDEX_PEERS"])
    assert peers["registry"] == stack.address("registry")
    assert "subsidies" not in peers
    serving = [name for name in stack.services if "ELDEX_WEB_LISTEN" in stack.service_env(name)]
    assert serving == ["console"]
    assert (
        stack.service_env("console")["ELDEX_OTLP_LISTEN"]
        == (stack.service_env("registry")["ELDEX_OTLP_ENDPOINT"])
    )


def test_ports_move_together_or_one_by_one() -> None:
    usual = Settings.from_env(env={})
    moved = Settings.from_env(env={"ELDEX_PORT_BASE": "18000", "ELDEX_PORT_CONSOLE_WEB": "8080"})
    assert usual.ports["exchange"] == 17443
    assert moved.ports["exchange"] == 18443
    assert moved.ports["console-web"] == 8080
    assert len(set(usual.ports.values())) == len(usual.ports)


@pytest.mark.parametrize(
    ("city", "env", "said"),
    [
        ("达州", {}, "division code"),
        ("510000", {}, "division code"),
        ("511700", {"ELDEX_PORT_KAFKA": "none"}, "ELDEX_PORT_KAFKA"),
        ("511700", {"ELDEX_PORT_BASE": "80"}, "ELDEX_PORT_BASE"),
        ("511700", {"ELDEX_TRACE_RATIO": "10%"}, "ELDEX_TRACE_RATIO"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(city: str, env: dict[str, str], said: str) -> None:
    with pytest.raises(BadSetting, match=said):
        Settings.from_env(city, env)


SUPERVISE = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, str(Path(sys.argv[1])))
from test_stack import a_city
from eldex.local.supervisor import supervise
asyncio.run(supervise(a_city(Path(sys.argv[2]))))
"""


@pytest.fixture
def supervised(tmp_path: Path, modules: Path) -> Iterator[tuple[Path, "subprocess.Popen[bytes]"]]:
    """A city of its own under a supervisor in the background, as `make up` leaves one."""
    root = tmp_path / "city"
    assert modules.exists()
    here = str(Path(__file__).parent)
    child = subprocess.Popen([sys.executable, "-c", SUPERVISE, here, str(root)])
    try:
        yield root, child
    finally:
        child.kill()
        child.wait()


def wait_for_part(root: Path, name: str, restarts: int) -> int:
    """The process id of a part once it is ready after so many restarts."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        report = supervisor.read(root)
        if report and name in report.parts:
            part = report.parts[name]
            if part.state is State.READY and part.restarts >= restarts and part.pid:
                return part.pid
        time.sleep(0.02)
    raise AssertionError(f"{name} was not ready after {restarts} restarts")


def test_a_supervised_city_heals_and_goes_down_without_a_trace(
    supervised: tuple[Path, "subprocess.Popen[bytes]"],
) -> None:
    root, child = supervised
    steps = list(supervisor.follow(root, child))
    assert len(steps) == 4
    assert supervisor.is_running(root)
    for part in ("greeter", "mongod"):
        first = wait_for_part(root, part, restarts=0)
        os.kill(first, signal.SIGKILL)
        assert wait_for_part(root, part, restarts=1) != first
    assert supervisor.stop(root) == []
    assert child.wait(10) == 0
    assert not supervisor.is_running(root)
    report = supervisor.read(root)
    assert report is not None
    assert report.phase is Phase.DOWN
    assert supervisor.leftovers(root) == {}


def test_a_second_supervisor_of_the_same_city_is_refused(
    supervised: tuple[Path, "subprocess.Popen[bytes]"],
) -> None:
    root, child = supervised
    list(supervisor.follow(root, child))
    here = str(Path(__file__).parent)
    second = subprocess.run(
        [sys.executable, "-c", SUPERVISE, here, str(root)], capture_output=True, check=False
    )
    assert second.returncode != 0
    assert b"already up" in second.stderr
    assert supervisor.is_running(root)
    supervisor.stop(root)


def test_down_while_it_is_still_coming_up_leaves_nothing(
    supervised: tuple[Path, "subprocess.Popen[bytes]"],
) -> None:
    root, child = supervised
    steps = supervisor.follow(root, child)
    next(steps)
    supervisor.stop(root)
    assert child.wait(10) == 0
    assert supervisor.leftovers(root) == {}


def test_operations_may_watch_every_event_of_the_contract() -> None:
    agreements = {each["agreement_key"]: each for each in yaml.safe_load(AGREEMENTS.read_text())}
    watched = agreements["operations-watch"]["event_types"]
    assert sorted(watched) == sorted(
        event for topic in load_topics().values() for event in topic.events
    )
