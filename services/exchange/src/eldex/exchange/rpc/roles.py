"""Who may ask the exchange itself: its operators, and a member where an agreement of its own names the method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from eldex.common.clock import Clock, day_of
from eldex.common.errors import Denied, DomainError
from eldex.common.identifiers import RegionCode
from eldex.common.rpc.call import PURPOSE, Call
from eldex.exchange.domain.agreements import Agreement
from eldex.exchange.domain.decision import PlainJudge, Question, check_purpose, decide
from eldex.exchange.rpc.agreement_table import AgreementTable
from eldex.exchange.rpc.cities import partner_of

_CONSOLE: Final = "service/console"
_OPERATIONS: Final = "member/operations/"


@dataclass(frozen=True, slots=True)
class Right:
    """By what somebody calls."""

    subsystem: str
    """`member/<member>/<subsystem>`; an operator's service: `service/<name>`."""
    agreement: Agreement | None
    """None: an operator, or what every member may do."""
    legal_basis: str = ""


class Roles:
    """Decides who may ask the exchange itself."""

    def __init__(self, home: RegionCode, agreements: AgreementTable, clock: Clock) -> None:
        self._home, self._agreements, self._clock = home, agreements, clock

    def right(self, call: Call) -> Right:
        """By what somebody may call a method that not every member may; raises why it may not."""
        subsystem = subsystem_of(call)
        if is_operator(call):
            return Right(subsystem, None)
        purpose = check_purpose(call.metadata.get(PURPOSE, ""))
        city, _, _ = call.caller.path.partition("/")
        question = Question(
            subsystem=subsystem,
            caller_region=RegionCode.parse(city),
            home=self._home,
            method=call.method,
            purpose=purpose,
            on=day_of(self._clock()),
        )
        allowing = decide(PlainJudge(), self._agreements.of(subsystem), question)
        return Right(subsystem, allowing[0], allowing[0].terms(purpose).legal_basis)

    def seat(self, call: Call) -> str:
        """The operator's seat that a dangerous act comes from; raises `Denied` for everybody else.

        Not every service of the house is one: a department's service has no business with the log.
        """
        if not self.has_seat(call):
            raise Denied(
                missing="this is for the operators of the exchange, each with a certificate of its own",
                missing_zh="此操作仅限交换平台运营方，且须使用本岗位的证书",
            )
        return subsystem_of(call)

    def has_seat(self, call: Call) -> bool:
        """Whether an operator's seat of this city calls."""
        city, _, seat = call.caller.path.partition("/")
        return city == self._home.padded(6) and (seat == _CONSOLE or seat.startswith(_OPERATIONS))

    def own_or_right(self, call: Call) -> Right:
        """The right to more than what is a member's own, or none: `agreement` is None then."""
        try:
            return self.right(call)
        except DomainError:
            return Right(subsystem_of(call), None)

    def is_own(self, subsystem: str, call: Call) -> bool:
        """Whether the log's records of a subsystem are the caller's own, or a city's for its exchange."""
        city, _, own = call.caller.path.partition("/")
        if subsystem == own:
            return True
        partner = partner_of(RegionCode.parse(city), own, self._home)
        return partner is not None and subsystem.startswith(f"{partner}/")

    def sees_all(self, call: Call) -> bool:
        """Whether somebody may see more than its own."""
        return is_operator(call) or self.own_or_right(call).agreement is not None


def is_operator(call: Call) -> bool:
    """Whether a service of this house calls: it stands for the operators of the exchange."""
    return call.caller.service is not None


def operators_only(call: Call) -> None:
    """Refuse everybody else."""
    if not is_operator(call):
        raise Denied(
            missing="this is for the operators of the exchange",
            missing_zh="此操作仅限交换平台运营方",
        )


def subsystem_of(call: Call) -> str:
    """Who calls, as the log names it."""
    _, _, path = call.caller.path.partition("/")
    return path
