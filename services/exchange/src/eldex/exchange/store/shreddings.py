"""What shall be forgotten, in MongoDB."""

from __future__ import annotations

from typing import ClassVar

from eldex.common.store import Index, Repository
from eldex.exchange.domain.message_log import Shredding


class MongoShreddings(Repository[Shredding]):
    """Destructions of subject keys by month; every version is kept."""

    kind = Shredding
    collection = "shreddings"
    history = True
    indexes: ClassVar[tuple[Index, ...]] = ()
