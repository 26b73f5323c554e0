"""State and events, together: sessions, repositories, the unit of work and the group commit.

A handler gets its ports (repositories on one `Session`), loads aggregates, calls their methods and
saves them. Nothing is written until it returns; then its aggregates, their events and the mark that
makes the act idempotent go to the database as one `ChangeSet`. Change sets of concurrent acts share
a transaction and a journal flush (`GroupCommit`) without sharing their fate: the one that lost a
race or broke a unique index is told so and leaves; its neighbours commit.

What is loaded is batched in the same way: concurrent acts that ask one collection for documents by
one field share a query (`Loader`). A unary act therefore costs the database a small share of a
read and of a commit, which is where the speed of the house comes from (`docs/decisions/`).
"""

from eldex.common.store.backend import (
    DEAD_LETTERS,
    LEASES,
    MARK_TTL,
    MARKS,
    OUTBOX,
    Backend,
    Backlog,
    Bundle,
    ChangeSet,
    Document,
    Index,
    Lost,
    Outcome,
    Taken,
    Write,
    values_at,
)
from eldex.common.store.commit import GroupCommit
from eldex.common.store.documents import converter, from_document, to_document
from eldex.common.store.session import Publisher, Repository, Session
from eldex.common.store.work import Done, Mark, UnitOfWork, collections_of

__all__ = [
    "DEAD_LETTERS",
    "LEASES",
    "MARKS",
    "MARK_TTL",
    "OUTBOX",
    "Backend",
    "Backlog",
    "Bundle",
    "ChangeSet",
    "Document",
    "Done",
    "GroupCommit",
    "Index",
    "Lost",
    "Mark",
    "Outcome",
    "Publisher",
    "Repository",
    "Session",
    "Taken",
    "UnitOfWork",
    "Write",
    "collections_of",
    "converter",
    "from_document",
    "to_document",
    "values_at",
]
