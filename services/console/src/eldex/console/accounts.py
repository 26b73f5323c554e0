"""Who may sign in: a secrets file with scrypt hashes, and the command that writes it.

`python -m eldex.console.accounts FOLDER` makes the accounts of a development machine, `operator`
and `viewer`, with random passwords, once, and prints them; the passwords are kept beside the file,
readable by its owner, for the next time. `python -m eldex.console.accounts FOLDER set NAME ROLE`
reads a password from the terminal (or one line of standard input) and sets an account.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import hashlib
import hmac
import json
import os
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from eldex.common.errors import CannotStart
from eldex.console.domain.people import Account, Role

FILE: Final = "console-accounts.json"
PASSWORDS_FILE: Final = "console-passwords.json"
"""Only where `ensure` made the accounts: on a development machine."""
_COST: Final = {"n": 2**14, "r": 8, "p": 5, "maxmem": 64 * 1024 * 1024}
"""OWASP's parameters for scrypt within 16 MiB. Each hash carries its own n, so that it can be raised."""
_SHORTEST = 12


class BadAccountsFile(CannotStart):
    """The file cannot be read; the message says what to mend."""


@dataclass(frozen=True, slots=True)
class _Entry:
    role: Role
    salt: bytes
    hash: bytes
    n: int

    def fits(self, password: str) -> bool:
        cost = _COST | {"n": self.n}
        found = hashlib.scrypt(password.encode(), salt=self.salt, **cost)
        return hmac.compare_digest(found, self.hash)


_NOBODY: Final = _Entry(Role.VIEWER, b"\0" * 16, b"\0" * 64, _COST["n"])


class FileAccounts:
    """`Accounts` from the file; a new file is taken up without a restart."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        self._stamp: tuple[int, int] = (0, 0)
        self._entries: dict[str, _Entry] = {}
        self._session_key = secrets.token_hex(32)
        self._read()

    def any(self) -> bool:
        """Whether there is any account at all."""
        self._read()
        return bool(self._entries)

    @property
    def session_key(self) -> str:
        """Signs the session cookies; a new one ends every session."""
        self._read()
        return self._session_key

    def find(self, user: str) -> Account | None:
        """An account by its name."""
        self._read()
        entry = self._entries.get(user)
        if entry is None:
            return None
        return Account(user, entry.role, hashlib.sha256(entry.hash).hexdigest()[:16])

    async def verify(self, user: str, password: str) -> Account | None:
        """The account, if the password is its own."""
        self._read()
        entry = self._entries.get(user, _NOBODY)
        fits = await asyncio.to_thread(entry.fits, password)
        return self.find(user) if fits and user in self._entries else None

    def _read(self) -> None:
        try:
            found = self._file.stat()
        except FileNotFoundError:
            self._entries, self._stamp = {}, (0, 0)
            return
        stamp = (found.st_mtime_ns, found.st_ino)
        if stamp == self._stamp:
            return
        try:
            content = json.loads(self._file.read_text("utf-8"))
            self._entries = {
                user: _Entry(
                    Role(entry["role"]),
                    bytes.fromhex(entry["salt"]),
                    bytes.fromhex(entry["hash"]),
                    int(entry["n"]),
                )
                for user, entry in content["accounts"].items()
            }
            self._session_key = content["session_key"]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadAccountsFile(
                f"{self._file} is not an accounts file ({error}): write it with "
                "`python -m eldex.console.accounts`"
            ) from error
        self._stamp = stamp


def ensure(folder: Path) -> dict[str, str]:
    """The passwords of the development accounts by name; makes what is missing, changes nothing else.

    An account whose password is not known here (set by hand) is left out.
    """
    known: dict[str, str] = {}
    kept = folder / PASSWORDS_FILE
    if kept.exists():
        known = json.loads(kept.read_text("utf-8"))
    content = _content(folder)
    for role in Role:
        if role.value not in content["accounts"]:
            known[role.value] = secrets.token_urlsafe(12)
            _set(content, role.value, role, known[role.value])
    _write(folder / FILE, content)
    _write(kept, known)
    return known


def set_account(folder: Path, user: str, role: Role, password: str) -> None:
    """Make an account or change it; its sessions end."""
    if len(password) < _SHORTEST:
        raise BadAccountsFile(f"the password needs at least {_SHORTEST} characters")
    content = _content(folder)
    _set(content, user, role, password)
    _write(folder / FILE, content)


def _content(folder: Path) -> dict[str, Any]:
    file = folder / FILE
    if not file.exists():
        return {"session_key": secrets.token_hex(32), "accounts": {}}
    FileAccounts(folder)  # checks it
    content: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return content


def _set(content: dict[str, Any], user: str, role: Role, password: str) -> None:
    salt = secrets.token_bytes(16)
    content["accounts"][user] = {
        "role": role.value,
        "salt": salt.hex(),
        "hash": hashlib.scrypt(password.encode(), salt=salt, **_COST).hex(),
        "n": _COST["n"],
    }


def _write(file: Path, content: object) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    if file.exists() and file.read_text("utf-8") == text:
        return
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = file.with_suffix(".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(text)
    draft.replace(file)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m eldex.console.accounts")
    parser.add_argument("folder", type=Path, help="the folder of the secrets (ELDEX_SECRETS_DIR)")
    commands = parser.add_subparsers(dest="command")
    one = commands.add_parser("set", help="make or change one account")
    one.add_argument("user")
    one.add_argument("role", choices=[role.value for role in Role])
    asked = parser.parse_args()
    try:
        if asked.command == "set":
            terminal = sys.stdin.isatty()
            password = getpass.getpass() if terminal else sys.stdin.readline().rstrip("\n")
            set_account(asked.folder, asked.user, Role(asked.role), password)
            sys.stdout.write(f"account {asked.user} ({asked.role}) is set\n")
            return
        for user, password in ensure(asked.folder).items():
            sys.stdout.write(f"{user}\t{password}\n")
    except BadAccountsFile as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
