"""Loopback ports: whether one is free, and ports that parallel test runs never give twice."""

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"
"""Everything local listens on loopback only."""

_POOL: Final = range(20_000, 30_000)
"""Below the ports that Linux gives to outgoing connections (32768 on). One taken from those may be
lost while its part is down for a restart, or even be connected to itself by a client that retries."""

_held: list[int] = []
"""Locks on the ports given, open (and so held) until this process ends."""


def is_free(port: int) -> bool:
    """Whether a part could listen on this loopback port now (a port in TIME_WAIT counts as free)."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def reserve() -> int:
    """A free port that no other caller of this function, in any process, gets while this one lives.

    The port may be given up and listened on again any number of times: the reservation is a file
    lock beside it, not the socket.
    """
    locks = Path(tempfile.gettempdir()) / f"eldex-ports-{os.getuid()}"
    locks.mkdir(mode=0o700, exist_ok=True)
    for port in random.sample(_POOL, len(_POOL)):
        lock = os.open(locks / str(port), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        if is_free(port):
            _held.append(lock)
            return port
        os.close(lock)
    raise OSError(f"no free port between {_POOL.start} and {_POOL.stop - 1} on {HOST}")
