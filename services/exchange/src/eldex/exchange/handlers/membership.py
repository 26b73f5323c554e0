"""What is done about members: inviting, taking a request in, deciding, renewing, revoking."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from eldex.common.clock import day_of
from eldex.common.errors import Denied, NotFound
from eldex.common.identifiers import RegionCode, new_key
from eldex.exchange.domain.access_requests import AccessDecision
from eldex.exchange.domain.answer_deadlines import DeadlineRules
from eldex.exchange.domain.membership import (
    Issued,
    Joining,
    JoiningState,
    MemberCertificate,
    TokenGivenOut,
    TokenUnknown,
)
from eldex.exchange.handlers import Stores
from eldex.exchange.handlers.catalogue import (
    Actor,
    DecideAccessRequest,
    FieldsOf,
    RequestAccess,
    decide_access_request,
    request_access,
)
from eldex.exchange.handlers.membership_ports import MemberAuthority


@dataclass(frozen=True, slots=True)
class AskToJoin:
    """Somebody with a token asks."""

    token_digest: str
    csr_pem: str
    access: RequestAccess
    """Its subsystem is that of the token, whatever it says."""


@dataclass(frozen=True, slots=True)
class DecideJoining:
    """Provider or operator approves or refuses."""

    joining_key: str
    actor: Actor
    approved: bool
    reason: str
    official_code: str
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Revoke:
    """A certificate shall count no more."""

    serial_number: str
    with_renewed: bool
    reason: str
    subsystem: str
    """Whose it is, if the exchange does not know it."""
    actor: Actor
    by: str
    """The path of the caller's certificate."""


async def invite(
    subsystem: str,
    token_digest: str,
    valid: timedelta,
    city: RegionCode,
    stores: Stores,
    now: datetime,
) -> Joining:
    """Give out a token, of which the digest alone is known here."""
    if await stores.joinings.by_token(token_digest) is not None:
        raise TokenGivenOut
    joining = Joining(
        key=new_key("jng"),
        subsystem=subsystem,
        city=city,
        token_digest=token_digest,
        token_ends_at=now + valid,
    )
    stores.joinings.save(joining)
    return joining


async def joining_of(token_digest: str, stores: Stores, now: datetime) -> Joining:
    """The joining of a token; raises `TokenUnknown`."""
    joining = await stores.joinings.by_token(token_digest)
    if joining is None:
        raise TokenUnknown
    joining.require_token(now)
    return joining


async def ask_to_join(
    command: AskToJoin,
    authority: MemberAuthority,
    rules: DeadlineRules,
    stores: Stores,
    now: datetime,
) -> Joining:
    """Take in who asks, with the first resource that is needed."""
    joining = await joining_of(command.token_digest, stores, now)
    digest = authority.check(command.csr_pem, joining.subsystem)
    access = await request_access(command.access, rules, joining.city, stores, now)
    joining.ask(
        csr_pem=command.csr_pem,
        key_digest=digest,
        access_request_key=access.key,
        provider=access.provider,
        official_code=command.access.official_code,
    )
    stores.joinings.save(joining)
    return joining


async def decide_joining(
    command: DecideJoining,
    authority: MemberAuthority,
    fields_of: FieldsOf,
    stores: Stores,
    now: datetime,
) -> Joining:
    """Take a decision, on the first resource too; the second approval issues the certificate."""
    joining = await stores.joinings.get(command.joining_key)
    if joining.state is JoiningState.INVITED:
        raise NotFound("Joining", command.joining_key)  # nobody has asked yet
    role = command.actor.role_for(joining.provider)
    joining.expect(command.etag)
    joining.decide(
        AccessDecision(role, command.approved, command.official_code, day_of(now), command.reason)
    )
    access = await stores.catalogue.access_requests.get(joining.access_request_key)
    if role in access.awaits:
        access = await decide_access_request(
            DecideAccessRequest(
                access.key,
                command.actor,
                command.approved,
                command.reason,
                command.official_code,
            ),
            fields_of,
            stores,
            now,
        )
    if joining.state is JoiningState.ADMITTED:
        issued = authority.issue(joining.csr_pem, joining.subsystem, now)
        joining.certificate_pem, joining.agreement_key = issued.pem, access.agreement_key
        stores.certificates.save(
            MemberCertificate.issue(issued, joining.subsystem, joining.city, now)
        )
    stores.joinings.save(joining)
    return joining


async def renew_certificate(
    csr_pem: str,
    subsystem: str,
    serial_number: str,
    city: RegionCode,
    authority: MemberAuthority,
    stores: Stores,
    now: datetime,
) -> tuple[Issued, MemberCertificate]:
    """The next certificate for the holder of a current one.

    The current one is changed, too: of a renewal and a revocation at the same time one is decided again.
    """
    current = await stores.certificates.find(serial_number) or MemberCertificate(
        key=serial_number, subsystem=subsystem, city=city
    )
    issued = authority.issue(csr_pem, subsystem, now)
    current.renew(issued.serial_number)
    stores.certificates.save(current)
    made = MemberCertificate.issue(issued, subsystem, city, now)
    stores.certificates.save(made)
    return issued, made


async def revoke(
    command: Revoke, city: RegionCode, stores: Stores, now: datetime
) -> list[MemberCertificate]:
    """Revoke a certificate, and what was renewed from it if that is meant."""
    first = await stores.certificates.find(command.serial_number)
    if first is None:
        if not command.subsystem or command.actor.subsystem:
            raise NotFound("MemberCertificate", command.serial_number)
        first = MemberCertificate(key=command.serial_number, subsystem=command.subsystem, city=city)
    if command.actor.subsystem not in ("", first.subsystem):
        raise Denied(
            missing="a member revokes certificates of its own subsystem alone",
            missing_zh="成员单位只能吊销本业务系统的证书",
        )
    found, waiting = [], [first]
    while waiting:
        certificate = waiting.pop()
        certificate.revoke(command.reason, command.by, now)
        stores.certificates.save(certificate)
        found.append(certificate)
        if command.with_renewed:
            for serial in certificate.renewed_by:
                renewed = await stores.certificates.find(serial)
                if renewed is not None:
                    waiting.append(renewed)
    return found
