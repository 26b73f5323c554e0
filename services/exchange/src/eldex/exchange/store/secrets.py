"""The exchange's own keys, from the folder of secrets.

`python -m eldex.exchange.store.secrets FOLDER CITY` makes those that are missing and prints what
others need in order to trust them: `log.key` signs the heads of the message log, whose origin is its
name (`<city>/exchange`); `witness.key` co-signs those of partner exchanges.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from eldex.common.errors import CannotStart
from eldex.evidence.note import COSIGNATURE_V1, ED25519, MalformedKey, Signer, signer_key

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
        path = folder / name
        if not path.exists():
            part = path.with_suffix(".part")
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            with os.fdopen(os.open(part, flags, 0o600), "w") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
            part.rename(path)
    return [read_signer(folder / name) for name in (LOG, WITNESS)]


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
