"""Who operates the exchange, and what one of them cannot do alone."""

from __future__ import annotations

from dataclasses import dataclass

from eldex.common.errors import DomainError, Kind


class SecondPersonNeeded(DomainError):
    """Four eyes: whoever asked or decided cannot decide, too."""

    kind, reason = Kind.DENIED, "SECOND_PERSON_NEEDED"
    zh = (
        "须由两名不同的经办人办理：提出申请或已作出决定的经办人不能再作决定；"
        "平台运营人员须各用各的证书"
    )
    en = (
        "it takes different people: whoever asked or decided already cannot decide, too; "
        "operators of the exchange each use a certificate of their own"
    )


@dataclass(frozen=True, slots=True)
class Operator:
    """Who operates the exchange: the seat is proven by a certificate, the account is what it says itself."""

    seat: str
    """`service/console` or `member/operations/<seat>`."""
    account: str

    def require_another(self, account: str, seat: str) -> None:
        """Raise `SecondPersonNeeded` for the same account, or the same seat.

        An account is easily written down wrong, or on purpose: two of them at one seat are not two people.
        """
        if self.account == account or self.seat == seat:
            raise SecondPersonNeeded
