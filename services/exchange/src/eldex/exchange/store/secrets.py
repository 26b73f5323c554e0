"""The exchange's own keys, from the folder of secrets.

`python -m eldex.exchange.store.secrets FOLDER CITY` makes those that are missing and prints what
others need in order to trust them: `log.key` signs the heads of the message log, whose origin is its
name (`<city>/exchange`); `witness.key` co-signs those of partner exchanges; `member-ca.key` signs the
certificates of members (`store/authority.py`).
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from eldex.common.errors import CannotStart
from eldex.evidence.note import COSIGNATURE_V1, ED25519, MalformedKey, Signer, signer_key
from eldex.exchange.store import authority

LOG, WITNESS = "log.key", "witness.key"
_SEED_BYTES: Final = 32


def read_signer(path: Path) -> Signer:
    """The key in a file (`PRIVATE+KEY+…`, one line); its name is what it signs for.

    Raises:
        CannotStart: there is none. It is never made by a start: a log that goes on with another key
            is one that its partners and auditors do not know.
    """
    try:
        return Signer.parse(path.read_text().strip())
    except OSError as error:
        raise CannotStart(
            f"{path} cannot be read ({error.strerror}); it is made once, with "
            "`python -m eldex.exchange.store.secrets FOLDER CITY`, and kept"
        ) from error
    except MalformedKey as error:
        raise CannotStart(f"{path} holds no signer key: {error}") from error


def ensure(folder: Path, city: str) -> list[Signer]:
    """Make the keys of a city's exchange that are missing; those that are there stay as they are."""
    origin = f"{city}/exchange"
    for name, text in (
        (LOG, signer_key(origin, secrets.token_bytes(_SEED_BYTES), ED25519)),
        (
            WITNESS,
            signer_key(f"{origin}/witness", secrets.token_bytes(_SEED_BYTES), COSIGNATURE_V1),
        ),
    ):
        if not (folder / name).exists():
            _put(folder / name, text.encode() + b"\n")
    if not (folder / authority.CERTIFICATE).exists():
        key, certificate = authority.make_root(city, datetime.now(UTC))
        _put(folder / authority.KEY, key)
        _put(folder / authority.CERTIFICATE, certificate)
    return [read_signer(folder / name) for name in (LOG, WITNESS)]


def _put(path: Path, content: bytes) -> None:
    """Write a secret whole, for its owner alone."""
    part = path.with_suffix(".part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    with os.fdopen(os.open(part, flags, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the keys, and print the lines for partners' and auditors' policies."""
    parser = argparse.ArgumentParser(prog="python -m eldex.exchange.store.secrets")
    parser.add_argument("folder", type=Path)
    parser.add_argument("city", help="division code of the city, six digits")
    asked = parser.parse_args(arguments)
    log, witness = ensure(asked.folder, asked.city)
    sys.stdout.write(f"log {log.verifier}\nwitness city-{asked.city} {witness.verifier}\n")


if __name__ == "__main__":
    main()
