"""Checkpoints (C2SP tlog-checkpoint): the head of a log's tree, as a note that the log signs.

<origin>
<size, decimal>
<root, base64>
[<extension line> …]
"""

from __future__ import annotations

from dataclasses import dataclass

from eldex.evidence.encoding import MalformedText, base64_of, from_base64, from_decimal
from eldex.evidence.note import MalformedNote, Note, Signer
from eldex.evidence.tree import EMPTY_ROOT, HASH_BYTES


class MalformedCheckpoint(MalformedNote):
    """The text of a note is not that of a checkpoint."""


@dataclass(frozen=True)
class Checkpoint:
    """How many records a log has, and the root of the tree over them."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()
    """Opaque lines; C2SP advises against them, because no monitor can audit them."""

    def text(self) -> str:
        """The text of the note, with its last newline.

        Raises:
            MalformedCheckpoint: a field would be read as another checkpoint.
        """
        lines = [self.origin, str(self.size), base64_of(self.root), *self.extensions]
        text = "\n".join(lines) + "\n"
        if Checkpoint.parse(text) != self:
            raise MalformedCheckpoint(f"not the fields of a checkpoint: {text[:200]!r}")
        return text

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read the text of a note as a checkpoint.

        Raises:
            MalformedCheckpoint: it is none.
        """
        lines = text.split("\n")
        if len(lines) < 4 or lines.pop() or not all(lines):
            raise MalformedCheckpoint("a checkpoint is three or more lines, none of them empty")
        origin, size, root, *extensions = lines
        try:
            found = cls(
                origin, from_decimal(size), from_base64(root, HASH_BYTES), tuple(extensions)
            )
        except MalformedText as error:
            raise MalformedCheckpoint(f"in the checkpoint of {origin[:80]}: {error}") from error
        if found.size == 0 and found.root != EMPTY_ROOT:
            raise MalformedCheckpoint(f"{origin[:80]}: the empty tree has another root")
        return found

    def sign(self, signer: Signer) -> Note:
        """The checkpoint signed by the log, whose key must bear the origin as its name.

        Raises:
            ValueError: the key belongs to another.
        """
        if signer.verifier.name != self.origin:
            raise ValueError(f"the key of {signer.verifier.name} does not sign for {self.origin}")
        text = self.text()
        return Note(text, (signer.sign(text),))

    def __str__(self) -> str:
        return f"{self.origin} at {self.size} records, root {base64_of(self.root)}"
