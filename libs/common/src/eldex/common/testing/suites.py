"""What every `Backend` must do, as tests; an adapter's test class inherits it and gives `backend`.

Each subclass has a fixture `backend` that yields an adapter on an empty database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from eldex.common.store import (
    LEASES,
    OUTBOX,
    Backend,
    Backlog,
    ChangeSet,
    Document,
    Index,
    Lost,
    Outcome,
    Taken,
    Write,
)

BEDS = "beds"
DAY = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)


def bed(key: str, version: int = 1, **fields: Any) -> Document:
    """A document as a repository writes it."""
    return {"_id": key, "version": version, **fields}


def new(*documents: Document) -> ChangeSet:
    """A change set that inserts."""
    return ChangeSet([Write(BEDS, document) for document in documents])


def successor(key: str, of: int, **fields: Any) -> ChangeSet:
    """A change set that replaces version `of`."""
    return ChangeSet([Write(BEDS, bed(key, of + 1, **fields), replaces=of)])


def told(key: str, **fields: Any) -> Write:
    """An event to be told."""
    return Write(OUTBOX, {"_id": key, "timestamp": DAY, **fields}, is_new=True)


class BackendSuite:
    """The behaviour of the `Backend` port."""

    COLLECTIONS: ClassVar[Mapping[str, list[Index]]] = {
        BEDS: [
            Index((("home", 1), ("number", 1)), unique=True, where={"state": "standing"}),
            Index((("licence.number", 1),), unique=True, where={"licence.number": {"$gt": ""}}),
            Index((("guests.resident_key", 1),)),
        ],
        OUTBOX: [],
        LEASES: [],
    }

    async def _ready(self, backend: Backend) -> Backend:
        await backend.prepare(self.COLLECTIONS)
        return backend

    async def _write(self, backend: Backend, *changes: ChangeSet) -> list[Outcome]:
        return await backend.commit(changes)

    async def _keys(self, backend: Backend, where: Mapping[str, Any], **how: Any) -> list[str]:
        order = how.pop("order", [("_id", 1)])
        return [d["_id"] for d in await backend.query(BEDS, where, order, **how)]

    async def test_prepare_can_be_repeated_and_keeps_what_is_there(self, backend: Backend) -> None:
        """Every replica prepares at every start."""
        await self._ready(backend)
        await self._write(backend, new(bed("b1", home="h1", number=1, state="standing")))
        await asyncio.gather(*(backend.prepare(self.COLLECTIONS) for _ in range(3)))
        assert await backend.count(BEDS, {}) == 1
        again = new(bed("b2", home="h1", number=1, state="standing"))
        assert isinstance((await self._write(backend, again))[0], Taken)

    async def test_what_was_inserted_is_read_as_it_was(self, backend: Backend) -> None:
        """Types survive: text, whole numbers, bytes, instants with their zone, lists, nothing."""
        await self._ready(backend)
        document = bed(
            "b1", name="三床", fen=2**53 + 1, sealed=b"\x00\xff", since=DAY, notes=["a"], end=None
        )
        assert await self._write(backend, new(document)) == [None]
        assert await backend.fetch(BEDS, "_id", ["b1"]) == [document]

    async def test_what_is_read_is_the_readers_own(self, backend: Backend) -> None:
        """Changing a document that was read changes nothing in the database."""
        await self._ready(backend)
        await self._write(backend, new(bed("b1", guests=[{"resident_key": "r1"}])))
        (found,) = await backend.fetch(BEDS, "_id", ["b1"])
        found["guests"][0]["resident_key"] = "r2"
        assert await backend.fetch(BEDS, "_id", ["b1"]) != [found]

    async def test_a_successor_replaces_exactly_the_version_that_was_read(
        self, backend: Backend
    ) -> None:
        """The guard against lost updates."""
        await self._ready(backend)
        await self._write(backend, new(bed("b1", guest="王秀英")))
        assert await self._write(backend, successor("b1", 1, guest="李桂兰")) == [None]
        (late,) = await self._write(backend, successor("b1", 1, guest="张玉珍"))
        assert isinstance(late, Lost)
        assert await backend.fetch(BEDS, "_id", ["b1"]) == [bed("b1", 2, guest="李桂兰")]

    async def test_a_successor_of_nothing_has_lost(self, backend: Backend) -> None:
        """What it read is gone."""
        await self._ready(backend)
        (outcome,) = await self._write(backend, successor("b9", 1))
        assert isinstance(outcome, Lost)
        assert await backend.count(BEDS, {}) == 0

    async def test_a_key_is_given_once(self, backend: Backend) -> None:
        """The index that is taken is the key."""
        await self._ready(backend)
        await self._write(backend, new(bed("b1", guest="王秀英")))
        (outcome,) = await self._write(backend, new(bed("b1", guest="李桂兰")))
        assert isinstance(outcome, Taken)
        assert (outcome.collection, outcome.index) == (BEDS, "_id")
        assert await backend.fetch(BEDS, "_id", ["b1"]) == [bed("b1", guest="王秀英")]

    async def test_a_unique_index_names_its_fields(self, backend: Backend) -> None:
        """So that the caller can be told what must be unique."""
        await self._ready(backend)
        first = bed("b1", home="h1", number=1, state="standing")
        await self._write(backend, new(first))
        (outcome,) = await self._write(backend, new(first | {"_id": "b2"}))
        assert isinstance(outcome, Taken)
        assert outcome.index == "home+number"
        fine = [new(bed("b3", licence={"number": "A1"})), new(bed("b4")), new(bed("b6"))]
        assert await self._write(backend, *fine) == [None, None, None]
        (outcome,) = await self._write(backend, new(bed("b5", licence={"number": "A1"})))
        assert isinstance(outcome, Taken)
        assert outcome.index == "licence.number"

    async def test_a_replacement_may_break_a_unique_index_too(self, backend: Backend) -> None:
        """Becoming what another already is."""
        await self._ready(backend)
        one = bed("b1", home="h1", number=1, state="standing")
        two = bed("b2", home="h1", number=2, state="standing")
        await self._write(backend, new(one, two))
        (outcome,) = await self._write(
            backend, successor("b2", 1, home="h1", number=1, state="standing")
        )
        assert isinstance(outcome, Taken)
        assert outcome.index == "home+number"
        # Itself it may stay.
        same = successor("b1", 1, home="h1", number=1, state="standing")
        assert await self._write(backend, same) == [None]

    async def test_a_partial_index_holds_only_where_it_says(self, backend: Backend) -> None:
        """A bed that was taken away gives its number free."""
        await self._ready(backend)
        await self._write(backend, new(bed("b1", home="h1", number=1, state="standing")))
        await self._write(backend, successor("b1", 1, home="h1", number=1, state="removed"))
        both = [
            new(bed("b2", home="h1", number=1, state="standing")),
            new(bed("b3", home="h1", number=1, state="removed")),
        ]
        assert await self._write(backend, *both) == [None, None]

    async def test_a_change_set_happens_as_a_whole_or_not_at_all(self, backend: Backend) -> None:
        """Its last write failing undoes its first, in every collection."""
        await self._ready(backend)
        await self._write(backend, new(bed("b1")))
        half = ChangeSet([told("e1"), Write(BEDS, bed("b2")), Write(BEDS, bed("b1"))])
        (outcome,) = await self._write(backend, half)
        assert isinstance(outcome, Taken)
        assert await backend.outgoing(0) == []
        assert await self._keys(backend, {}) == ["b1"]

    async def test_the_neighbours_of_one_that_fails_commit(self, backend: Backend) -> None:
        """Sharing a transaction is not sharing a fate."""
        await self._ready(backend)
        await self._write(backend, new(bed("b1"), bed("b2")))
        outcomes = await self._write(
            backend,
            successor("b1", 1, guest="王秀英"),
            successor("b2", 7, guest="nobody"),
            new(bed("b1", guest="nobody")),
            new(bed("b3", guest="李桂兰")),
        )
        assert [type(o) for o in outcomes] == [type(None), Lost, Taken, type(None)]
        found = await backend.query(BEDS, {}, [("_id", 1)])
        assert found == [
            bed("b1", 2, guest="王秀英"),
            bed("b2"),
            bed("b3", guest="李桂兰"),
        ]

    async def test_of_two_in_a_batch_that_want_the_same_one_gets_it(self, backend: Backend) -> None:
        """A unique value is given once within a batch as well."""
        await self._ready(backend)
        rivals = [new(bed(f"b{i}", home="h1", number=1, state="standing")) for i in range(4)]
        outcomes = await self._write(backend, *rivals)
        assert sum(o is None for o in outcomes) == 1
        assert sum(isinstance(o, Taken) and o.index == "home+number" for o in outcomes) == 3
        assert await backend.count(BEDS, {}) == 1

    async def test_many_unwritable_ones_in_one_batch_leave_the_rest(self, backend: Backend) -> None:
        """A wave of stale acts must not stop the others, nor take as many rounds as it has acts."""
        await self._ready(backend)
        await self._write(backend, *(new(bed(f"b{i:03}")) for i in range(0, 120, 3)))
        batch = [new(bed(f"b{i:03}")) for i in range(120)]
        batch += [successor(f"b{i:03}", 5) for i in range(0, 120, 3)]
        outcomes = await asyncio.wait_for(backend.commit(batch), 20)
        expected = [Taken if i % 3 == 0 else type(None) for i in range(120)] + [Lost] * 40
        assert [type(o) for o in outcomes] == expected
        assert await backend.count(BEDS, {}) == 120

    async def test_concurrent_batches_never_lose_an_update(self, backend: Backend) -> None:
        """Of several that replace the same version exactly one does, whoever they are."""
        await self._ready(backend)
        await self._write(backend, new(bed("b1"), bed("b2")))
        tries = await asyncio.gather(
            *(
                backend.commit([successor("b1", 1, by=i), successor("b2", 1, by=i)])
                for i in range(8)
            )
        )
        for nth in (0, 1):
            assert sum(outcomes[nth] is None for outcomes in tries) == 1
            assert sum(isinstance(outcomes[nth], Lost) for outcomes in tries) == 7

    async def test_an_empty_batch_is_no_trouble(self, backend: Backend) -> None:
        """Nothing in, nothing out."""
        await self._ready(backend)
        assert await backend.commit([]) == []
        assert await backend.fetch(BEDS, "_id", []) == []
        await backend.delivered([])

    async def test_query_compares_as_promised(self, backend: Backend) -> None:
        """Equality, $gt $gte $lt $lte $in $ne $or; a missing field equals nothing but None."""
        await self._ready(backend)
        await self._write(
            backend,
            new(
                bed("b1", fen=100, on="2026-01-01", guest=None),
                bed("b2", fen=200, on="2026-02-01", guest="r1"),
                bed("b3", fen=300, on="2026-03-01", guest="r2"),
                bed("b4", on="2026-04-01"),
            ),
        )
        for where, expected in (
            ({"fen": 200}, ["b2"]),
            ({"fen": {"$gt": 200}}, ["b3"]),
            ({"fen": {"$gte": 200}}, ["b2", "b3"]),
            ({"fen": {"$lt": 200}}, ["b1"]),
            ({"fen": {"$lte": 200}}, ["b1", "b2"]),
            ({"on": {"$gt": "2026-01-01", "$lte": "2026-03-01"}}, ["b2", "b3"]),
            ({"guest": {"$in": ["r1", "r2"]}}, ["b2", "b3"]),
            ({"guest": {"$in": ["r1", None]}}, ["b1", "b2", "b4"]),
            ({"guest": {"$ne": "r1"}}, ["b1", "b3", "b4"]),
            ({"guest": None}, ["b1", "b4"]),
            ({"$or": [{"fen": 100}, {"on": "2026-04-01"}]}, ["b1", "b4"]),
            ({"$or": [{"fen": 100}, {"fen": 200}], "guest": "r1"}, ["b2"]),
            ({"fen": {"$gt": "100"}}, []),
            ({"nothing": 1}, []),
            ({}, ["b1", "b2", "b3", "b4"]),
        ):
            assert await self._keys(backend, where) == expected, where
            assert await backend.count(BEDS, where) == len(expected), where

    async def test_query_looks_into_arrays(self, backend: Backend) -> None:
        """A path through a list meets each of its items; $elemMatch wants one item to fit whole."""
        await self._ready(backend)
        stays = [{"resident_key": "r1", "until": "2026-02"}, {"resident_key": "r2", "until": ""}]
        await self._write(
            backend,
            new(bed("b1", guests=stays, tags=["window", "ground"]), bed("b2", guests=[], tags=[])),
        )
        for where, expected in (
            ({"guests.resident_key": "r2"}, ["b1"]),
            ({"tags": "ground"}, ["b1"]),
            ({"tags": {"$in": ["attic", "window"]}}, ["b1"]),
            ({"guests.resident_key": {"$ne": "r1"}}, ["b2"]),
            ({"guests": {"$elemMatch": {"resident_key": "r1", "until": ""}}}, []),
            ({"guests": {"$elemMatch": {"resident_key": "r2", "until": ""}}}, ["b1"]),
        ):
            assert await self._keys(backend, where) == expected, where

    async def test_order_and_limit(self, backend: Backend) -> None:
        """By several fields, either way; without a value comes before any value."""
        await self._ready(backend)
        await self._write(
            backend,
            new(bed("b1", home="h2", fen=1), bed("b2", home="h1", fen=2)),
            new(bed("b3", home="h1", fen=3), bed("b4", fen=9)),
        )
        order = [("home", 1), ("fen", -1)]
        assert await self._keys(backend, {}, order=order) == ["b4", "b3", "b2", "b1"]
        assert await self._keys(backend, {}, order=order, limit=2) == ["b4", "b3"]
        assert await self._keys(backend, {}, order=[("_id", -1)], limit=1) == ["b4"]

    async def test_events_leave_the_outbox_in_the_order_in_which_they_came(
        self, backend: Backend
    ) -> None:
        """Those of one act in theirs; what is delivered is gone, what came meanwhile is not."""
        await self._ready(backend)
        assert await backend.backlog() == Backlog(0, None)
        await self._write(backend, ChangeSet([told("e5"), told("e1")]))
        await self._write(backend, ChangeSet([told("e9")]), ChangeSet([told("e3")]))
        assert await backend.backlog() == Backlog(4, DAY)
        bundles = await backend.outgoing(0)
        assert [e["_id"] for b in bundles for e in b.entries] == ["e5", "e1", "e9", "e3"]
        assert await backend.outgoing(1) == bundles[:1]
        await self._write(backend, ChangeSet([told("e0")]))
        await backend.delivered(bundles)
        await backend.delivered(bundles)
        assert [e["_id"] for b in await backend.outgoing(0) for e in b.entries] == ["e0"]

    async def test_large_events_leave_in_order_too(self, backend: Backend) -> None:
        """However many a transaction has, and whatever a document may hold."""
        await self._ready(backend)
        large = [told(f"e{n}", payload=bytes(3 * 1024 * 1024)) for n in range(7)]
        await self._write(backend, ChangeSet(large[:4]), ChangeSet(large[4:]))
        entries = [e for b in await backend.outgoing(0) for e in b.entries]
        assert [e["_id"] for e in entries] == [f"e{n}" for n in range(7)]
        assert {len(e["payload"]) for e in entries} == {3 * 1024 * 1024}

    async def test_fetch_takes_several_values_and_looks_into_arrays(self, backend: Backend) -> None:
        """A document that holds two of the values comes once."""
        await self._ready(backend)
        await self._write(
            backend,
            new(
                bed("b1", guests=[{"resident_key": "r1"}, {"resident_key": "r2"}]),
                bed("b2", guests=[{"resident_key": "r3"}]),
                bed("b3", guests=[]),
            ),
        )
        found = await backend.fetch(BEDS, "guests.resident_key", ["r1", "r2", "r3", "r4"])
        assert sorted(d["_id"] for d in found) == ["b1", "b2"]
        assert [d["_id"] for d in await backend.fetch(BEDS, "_id", ["b3"])] == ["b3"]

    async def test_more_is_read_than_fits_one_answer_of_the_server(self, backend: Backend) -> None:
        """Nothing is cut off at a driver's first batch."""
        await self._ready(backend)
        await self._write(backend, new(*(bed(f"b{i:05}", home="h1") for i in range(2_500))))
        assert len(await backend.query(BEDS, {"home": "h1"})) == 2_500

    async def test_a_lease_has_one_owner_who_can_renew_it(self, backend: Backend) -> None:
        """Others wait; another name is another lease."""
        await self._ready(backend)
        assert await backend.lease("relay", "registry-0", 30)
        assert not await backend.lease("relay", "registry-1", 30)
        assert await backend.lease("relay", "registry-0", 30)
        assert await backend.lease("cycle", "registry-1", 30)

    async def test_a_lease_that_ran_out_is_taken_over(self, backend: Backend) -> None:
        """And the old owner is told so; no sooner than it runs out."""
        await self._ready(backend)
        began = datetime.now(UTC)
        assert await backend.lease("relay", "registry-0", 0.5)
        while not await backend.lease("relay", "registry-1", 30):  # noqa: ASYNC110 - time passes
            await asyncio.sleep(0.02)
        assert datetime.now(UTC) - began >= timedelta(seconds=0.4)
        assert not await backend.lease("relay", "registry-0", 30)

    async def test_of_many_who_want_a_lease_at_once_one_gets_it(self, backend: Backend) -> None:
        """Replicas start together."""
        await self._ready(backend)
        given = await asyncio.gather(
            *(backend.lease("relay", f"registry-{i}", 30) for i in range(8))
        )
        assert sum(given) == 1
