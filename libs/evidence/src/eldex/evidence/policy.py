"""Whom an auditor trusts (C2SP tlog-policy): the keys of logs and witnesses, and how many must agree.

    log exchange.a-city.example/log+5ac0…+AX…
    witness b-city exchange.b-city.example/witness+1f09…+BM…
    witness c-city exchange.c-city.example/witness+77b2…+BE… https://exchange.c-city.example
    group partners 1 b-city c-city
    quorum partners

A witness's URL is where it is asked to co-sign. `#` begins a comment line; `quorum none` asks for no witness; `all` and `any` may stand for a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from eldex.evidence.checkpoint import Checkpoint
from eldex.evidence.encoding import MalformedText, from_decimal
from eldex.evidence.errors import EvidenceError
from eldex.evidence.note import SUITES, Note, Suite, UntrustedNote, Verifier

_NOBODY: Final = "none"


class MalformedPolicy(EvidenceError):
    """The file of trusted keys is not one; the message names the line."""


@dataclass(frozen=True)
class Trusted:
    """A checkpoint that passed a policy."""

    checkpoint: Checkpoint
    note: Note
    witnesses: Mapping[str, int]
    """Who co-signed (by the policy's name), and when: seconds since 1970."""


@dataclass(frozen=True)
class Policy:
    """Trusted keys, and which witnesses must have co-signed a checkpoint."""

    logs: tuple[Verifier, ...]
    witnesses: Mapping[str, Verifier]
    groups: Mapping[str, tuple[int, tuple[str, ...]]]
    """By name: how many of which witnesses or groups."""
    quorum: str
    urls: Mapping[str, str] = field(default_factory=dict)
    """Where witnesses are asked, by their name; of those that have one."""

    @classmethod
    def read(cls, path: Path, suites: Sequence[Suite] = SUITES) -> Policy:
        """Read a policy file. Raises `MalformedPolicy`, `OSError`."""
        try:
            return cls.parse(path.read_text(encoding="utf-8"), suites)
        except UnicodeDecodeError as error:
            raise MalformedPolicy(f"{path}: not UTF-8") from error
        except MalformedPolicy as error:
            raise MalformedPolicy(f"{path}: {error}") from error

    @classmethod
    def parse(cls, text: str, suites: Sequence[Suite] = SUITES) -> Policy:
        """Read the text of a policy.

        Raises:
            MalformedPolicy: it is none.
        """
        building = _Building(suites)
        for number, line in enumerate(text.split("\n"), 1):
            # Space and tab only: what else Unicode calls a space may be part of a name.
            words = [word for word in line.replace("\t", " ").split(" ") if word]
            if not words or words[0].startswith("#"):
                continue
            try:
                building.line(words)
            except EvidenceError as error:
                raise MalformedPolicy(f"line {number}: {error}") from error
        if building.quorum is None:
            raise MalformedPolicy("no quorum line; `quorum none` asks for no witness")
        return cls(
            tuple(building.logs),
            building.witnesses,
            building.groups,
            building.quorum,
            building.urls,
        )

    def check(self, data: bytes) -> Trusted:
        """Open a signed checkpoint: signed by its log, co-signed by the quorum.

        Raises:
            MalformedNote: it is no signed checkpoint.
            UntrustedNote: a signature is wrong, the log is not known, or the quorum is not met.
        """
        note = Note.parse(data)
        checkpoint = Checkpoint.parse(note.text)
        found = note.verified([*self.logs, *self.witnesses.values()])
        if not any(log in found and log.name == checkpoint.origin for log in self.logs):
            raise UntrustedNote(f"no known key of {checkpoint.origin} has signed its checkpoint")
        times = {
            name: found[verifier].seconds
            for name, verifier in self.witnesses.items()
            if verifier in found
        }
        if not self._met(self.quorum, times):
            who = ", ".join(times) or "nobody"
            raise UntrustedNote(f"the quorum {self.quorum!r} is not met: co-signed by {who}")
        return Trusted(checkpoint, note, times)

    def _met(self, name: str, witnessed: Mapping[str, int]) -> bool:
        if name == _NOBODY:
            return True
        if name in self.witnesses:
            return name in witnessed
        threshold, members = self.groups[name]
        return sum(self._met(member, witnessed) for member in members) >= threshold


class _Building:
    """A policy while its lines are read: a name must be defined before it is used."""

    def __init__(self, suites: Sequence[Suite]) -> None:
        self._suites = suites
        self.logs: list[Verifier] = []
        self.witnesses: dict[str, Verifier] = {}
        self.urls: dict[str, str] = {}
        self.groups: dict[str, tuple[int, tuple[str, ...]]] = {}
        self.quorum: str | None = None
        self._members: set[str] = set()

    def line(self, words: list[str]) -> None:
        match words:
            case ["log", key] | ["log", key, _]:
                self._log(key)
            case ["witness", name, key]:
                self._witness(name, key)
            case ["witness", name, key, url]:
                self._witness(name, key)
                self.urls[name] = url
            case ["group", name, threshold, *members] if members:
                self._group(name, threshold, tuple(members))
            case ["quorum", name]:
                if self.quorum is not None:
                    raise MalformedPolicy("a second quorum")
                if name != _NOBODY:
                    self._known(name)
                self.quorum = name
            case _:
                raise MalformedPolicy(f"not understood: {' '.join(words)[:120]!r}")

    def _log(self, key: str) -> None:
        verifier = Verifier.parse(key, self._suites)
        if verifier.suite.timestamped:
            raise MalformedPolicy("a log does not sign with a witness's key")
        if any(log.public == verifier.public for log in self.logs):
            raise MalformedPolicy("the same key a second time")
        self.logs.append(verifier)

    def _witness(self, name: str, key: str) -> None:
        self._new(name)
        verifier = Verifier.parse(key, self._suites)
        if not verifier.suite.timestamped:
            raise MalformedPolicy(
                "a witness signs with a timestamped key (type 0x04, cosignature/v1)"
            )
        if any(other.public == verifier.public for other in self.witnesses.values()):
            raise MalformedPolicy("the same key a second time")
        self.witnesses[name] = verifier

    def _group(self, name: str, threshold: str, members: tuple[str, ...]) -> None:
        self._new(name)
        for member in members:
            self._known(member)
            # So that a witness counts in one way only.
            if member in self._members:
                raise MalformedPolicy(f"{member} is a member of a group already")
            self._members.add(member)
        try:
            number = {"any": 1, "all": len(members)}.get(threshold) or from_decimal(threshold)
        except MalformedText as error:
            raise MalformedPolicy(f"a threshold is a number, all or any: {threshold!r}") from error
        if not 1 <= number <= len(members):
            raise MalformedPolicy(f"{number} of {len(members)} cannot be")
        self.groups[name] = (number, members)

    def _new(self, name: str) -> None:
        if name == _NOBODY or name in self.witnesses or name in self.groups:
            raise MalformedPolicy(f"the name {name} is taken")

    def _known(self, name: str) -> None:
        if name not in self.witnesses and name not in self.groups:
            raise MalformedPolicy(f"{name} is not defined before it is used")
