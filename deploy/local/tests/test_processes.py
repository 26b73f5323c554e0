"""One part: it becomes ready or says why not, comes back when it dies, and never outlives its stop."""

import asyncio
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from eldex.local.ports import is_free, reserve
from eldex.local.process import PartFailed, Process, State, answers_http

SERVER = """
import http.server, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""


def a_server(folder: Path, path: str = "/readyz", **more: float) -> Process:
    port = reserve()
    return Process(
        "bed-registry",
        [sys.executable, "-c", SERVER, str(port)],
        log=folder / "bed-registry.log",
        ready=partial(answers_http, port, path),
        **more,  # type: ignore[arg-type]
    )


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_part_is_ready_when_its_probe_says_so_and_gone_after_its_stop(
    tmp_path: Path,
) -> None:
    part = a_server(tmp_path)
    await part.start()
    pid = part.pid
    assert part.state is State.READY
    assert pid is not None
    assert os.getpgid(pid) == pid, "it has a process group of its own"
    await part.stop()
    assert State(part.state) is State.STOPPED
    assert not is_alive(pid)


async def test_a_part_that_ends_at_once_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    part = a_server(tmp_path)
    part.argv = [sys.executable, "-c", "raise SystemExit('the sealing key is not readable')"]
    with pytest.raises(PartFailed) as failure:
        await part.start()
    said = str(failure.value)
    assert said.startswith("bed-registry ended with code 1")
    assert "the sealing key is not readable" in said
    assert str(part.log) in said


async def test_a_part_whose_program_is_missing_is_named(tmp_path: Path) -> None:
    part = a_server(tmp_path)
    part.argv = [str(tmp_path / "no-such-program")]
    with pytest.raises(PartFailed, match="bed-registry"):
        await part.start()
    assert part.state is State.STOPPED


async def test_a_part_that_never_becomes_ready_is_given_up_and_ended(tmp_path: Path) -> None:
    part = a_server(tmp_path, path="/never", ready_timeout_s=1.0)
    with pytest.raises(PartFailed, match="was not ready after 1 s"):
        await part.start()
    assert part.pid is None


async def test_only_the_last_run_is_quoted_from_a_log_that_grows(tmp_path: Path) -> None:
    part = a_server(tmp_path)
    part.log.write_text("an old story\n")
    part.argv = [sys.executable, "-c", "raise SystemExit('today')"]
    with pytest.raises(PartFailed) as failure:
        await part.start()
    assert "today" in str(failure.value)
    assert "an old story" not in str(failure.value)
    assert part.log.read_text().startswith("an old story")


async def test_a_watched_part_that_is_killed_comes_back_and_is_counted(tmp_path: Path) -> None:
    part = a_server(tmp_path)
    await part.start()
    part.watch()
    first = part.pid
    await part.kill()
    await asyncio.wait_for(part.wait_ready(), 20)
    assert part.pid not in (None, first)
    assert part.restarts == 1
    await part.stop()
    assert part.pid is None


async def test_a_watched_part_that_cannot_start_again_is_tried_until_it_can(tmp_path: Path) -> None:
    part = a_server(tmp_path)
    await part.start()
    good = list(part.argv)
    part.watch()
    part.argv = [sys.executable, "-c", "raise SystemExit('not yet')"]
    tries = asyncio.Event()
    part.on_change = lambda: tries.set() if part.restarts >= 2 else None
    await part.kill()
    await asyncio.wait_for(tries.wait(), 20)
    part.argv = good
    await asyncio.wait_for(part.wait_ready(), 20)
    await part.stop()


async def test_a_part_that_ignores_the_request_to_stop_is_killed(tmp_path: Path) -> None:
    part = a_server(tmp_path, stop_timeout_s=0.5)
    part.argv[2] = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SERVER
    await part.start()
    pid = part.pid
    assert pid is not None
    await part.stop()
    assert not is_alive(pid)


def test_a_part_does_not_outlive_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    supervisor = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            (
                "import asyncio, sys, time\n"
                "from pathlib import Path\n"
                "from eldex.local.process import Process\n"
                "async def yes(): return True\n"
                "part = Process('bus', ['sleep', '600'], log=Path(sys.argv[1]), ready=yes)\n"
                "asyncio.run(part.start())\n"
                "print(part.pid, flush=True)\n"
                "time.sleep(600)\n"
            ),
            str(tmp_path / "bus.log"),
        ],
        stdout=subprocess.PIPE,
    )
    assert supervisor.stdout is not None
    part = int(supervisor.stdout.readline())
    assert is_alive(part)
    supervisor.kill()
    supervisor.wait()
    supervisor.stdout.close()
    # The kernel's signal comes with the supervisor's end; whoever inherits the child reaps it then.
    end = time.monotonic() + 10
    while is_alive(part) and not is_zombie(part) and time.monotonic() < end:
        time.sleep(0.01)
    assert not is_alive(part) or is_zombie(part)


def is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_reserved_ports_are_free_and_never_the_same_for_two_processes() -> None:
    mine = {reserve() for _ in range(50)}
    other = subprocess.run(
        [
            *(sys.executable, "-c"),
            "from eldex.local.ports import reserve\nfor _ in range(200): print(reserve())",
        ],
        capture_output=True,
        check=True,
        text=True,
    )
    theirs = {int(line) for line in other.stdout.split()}
    assert len(mine) == 50
    assert len(theirs) == 200
    assert not mine & theirs
    assert all(is_free(port) for port in mine)
