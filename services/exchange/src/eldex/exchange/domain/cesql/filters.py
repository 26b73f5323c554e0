"""Filters: a partner's CloudEvents SQL, ready to decide about events."""

from __future__ import annotations

from typing import Self, final

from eldex.exchange.domain.cesql.compiler import compile_node
from eldex.exchange.domain.cesql.errors import EvaluationError, MissingAttributeError
from eldex.exchange.domain.cesql.functions import find_function
from eldex.exchange.domain.cesql.parser import parse
from eldex.exchange.domain.cesql.syntax import Attribute, Call, Exists, Node, walk, write
from eldex.exchange.domain.cesql.values import Attributes, Type, Value


@final
class Filter:
    """An expression over an event's attributes (CloudEvents SQL 1.0.0); made by `parse`.

    Keeps nothing of an event, so one may be shared by all threads.

    Attributes:
        attributes: Every attribute whose value or presence it can ask for, in whatever branch. One
            that the agreement does not grant makes the filter an oracle: refuse it.
        unknown_functions: The functions it calls that do not exist with so many arguments. They are
            no fault of the text (§3.5), but where they are reached nothing is delivered: whoever
            takes a filter for keeps should refuse them.
    """

    __slots__ = ("_root", "_run", "_zero", "attributes", "unknown_functions")

    def __init__(self, root: Node) -> None:
        program = compile_node(root)
        self._root, self._run = root, program.run
        # Nobody can tell the type of an attribute that is not there: then it is Boolean (§3.2).
        self._zero = (program.type or Type.BOOLEAN).zero
        parts = [part for part, _ in walk(root)]
        self.attributes = frozenset(p.name for p in parts if isinstance(p, Attribute | Exists))
        self.unknown_functions = frozenset(
            part.function
            for part in parts
            if isinstance(part, Call) and not find_function(part.function, len(part.arguments))
        )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a filter; raises `FilterInvalid` or `FilterTooLarge`, and nothing else (§2)."""
        return cls(parse(text))

    def matches(self, attributes: Attributes) -> bool:
        """Whether an event is to be delivered: the value is true and nothing went wrong (§1.2).

        An attribute that is missing or cannot be cast therefore means: not delivered. So it is in
        the Subscriptions API too (dialect `sql`).
        """
        try:
            return self._run(attributes) is True
        except (KeyError, EvaluationError):
            # The missing attribute's KeyError: a filter looks up nothing else.
            return False

    def evaluate(self, attributes: Attributes) -> tuple[Value, EvaluationError | None]:
        """The value, and what went wrong if anything did (§3.3, §4.1: it stops there)."""
        try:
            return self._run(attributes), None
        except KeyError as missing:
            return self._zero, MissingAttributeError(attribute=str(missing.args[0]))
        except EvaluationError as error:
            own = error.value if error.raised_by is self._root else None
            return (self._zero if own is None else own), error

    def __str__(self) -> str:
        return write(self._root)

    def __repr__(self) -> str:
        return f"Filter.parse({write(self._root)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Filter) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))
