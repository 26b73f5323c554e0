"""Where things are in a clone: what is installed and produced stays in `.venv/` and `var/`."""

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[5]
"""The root of the clone (this package only ever runs from one: it is not shipped)."""

VAR = REPOSITORY / "var"
"""Everything produced: fetched jars, and per city its data, logs, certificates and secrets."""

LOCAL = REPOSITORY / "deploy" / "local"
"""The inputs of the local stack."""


def put(file: Path, content: bytes, *, private: bool = False) -> None:
    """Put a file in place whole (a reader never sees half), for its owner's eyes alone when private."""
    if file.exists() and file.read_bytes() == content:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    mode = 0o600 if private else 0o644
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as handle:
        handle.write(content)
    fresh.replace(file)
