"""The exchange's messages → the console's nouns of sharing, evidence and delivery."""

from __future__ import annotations

from datetime import date
from typing import Final

from google.type.date_pb2 import Date

from eldex.api.exchange.v1 import (
    access_service_pb2,
    agreement_pb2,
    catalogue_pb2,
    delivery_pb2,
    evidence_pb2,
)
from eldex.api.sharing.v1 import sharing_pb2
from eldex.common.dates import instant
from eldex.console.domain.deliveries import Lag, Subscription, Undelivered
from eldex.console.domain.proofs import LogLine
from eldex.console.domain.sharing import (
    AccessRequest,
    Agreement,
    AgreementChange,
    AgreementVersion,
    Approval,
    Condition,
    Explanation,
    Item,
    Resource,
    SharingClass,
)

CLASSES: Final = {
    SharingClass.UNCONDITIONAL: catalogue_pb2.SHARING_CLASS_UNCONDITIONAL,
    SharingClass.CONDITIONAL: catalogue_pb2.SHARING_CLASS_CONDITIONAL,
    SharingClass.NOT_SHARED: catalogue_pb2.SHARING_CLASS_NOT_SHARED,
}
_CLASS_OF: Final = {number: each for each, number in CLASSES.items()}
STATES: Final = {
    "pending": catalogue_pb2.ACCESS_REQUEST_STATE_PENDING,
    "granted": catalogue_pb2.ACCESS_REQUEST_STATE_GRANTED,
    "denied": catalogue_pb2.ACCESS_REQUEST_STATE_DENIED,
}
_FLAGS: Final = ("checks_subjects", "permits_break_glass", "conceals_existence", "suspended")


def day(message: Date) -> date:
    """A day; raises `ValueError` if there is none."""
    return date(message.year, message.month, message.day)


def _name(descriptor_value: str, prefix: str) -> str:
    """`SHARING_MODE_SERVICE` → `service`."""
    return descriptor_value.removeprefix(prefix).lower().replace("_", "-")


def agreement(found: agreement_pb2.Agreement, version: int = 0) -> Agreement:
    """An agreement with everything it says; in a listing its version is not told by number."""
    return Agreement(
        key=found.agreement_key,
        subsystem=found.subsystem,
        version=version,
        etag=found.etag,
        legal_basis=found.legal_basis,
        valid_from=day(found.valid_from),
        valid_to=day(found.valid_to) if found.HasField("valid_to") else None,
        suspended=found.suspended,
        terms=_terms(found),
    )


def _terms(found: agreement_pb2.Agreement) -> dict[str, tuple[str, ...]]:
    valid_to = (day(found.valid_to).isoformat(),) if found.HasField("valid_to") else ()
    basis_of = {each.purpose: each for each in found.purpose_terms}
    terms: dict[str, tuple[str, ...]] = {
        "subsystem": (found.subsystem,),
        "methods": tuple(found.methods),
        "purposes": tuple(
            f"{purpose}: {basis_of[purpose].legal_basis}" if purpose in basis_of else purpose
            for purpose in found.purposes
        ),
        "consent": tuple(each.purpose for each in found.purpose_terms if each.requires_consent),
        "legal_basis": (found.legal_basis,),
        "valid_from": (day(found.valid_from).isoformat(),),
        "valid_to": valid_to,
        "reply_fields": tuple(
            f"{grant.method}: {path}"
            for grant in found.field_grants
            for path in grant.reply_fields or ("–",)
        ),
        "request_fields": tuple(
            f"{grant.method}: {path}"
            for grant in found.field_grants
            for path in grant.request_fields or ("–",)
        ),
        "event_types": tuple(found.event_types),
        "event_fields": tuple(
            f"{grant.event_type}: {path}"
            for grant in found.event_grants
            for path in grant.fields or ("–",)
        ),
        "region_codes": tuple(found.region_codes),
        "caller_region_codes": tuple(found.caller_region_codes),
        "subject_region_codes": tuple(found.subject_region_codes),
        "rows_per_call": (str(found.rows_per_call),) if found.rows_per_call else (),
        "rows_per_day": (str(found.rows_per_day),) if found.rows_per_day else (),
        **{flag: ("✓",) if getattr(found, flag) else () for flag in _FLAGS},
    }
    return {term: said for term, said in terms.items() if said}


def agreement_version(found: access_service_pb2.AgreementVersion) -> AgreementVersion:
    """A version of the past or the present."""
    return AgreementVersion(agreement(found.agreement, found.version), instant(found.recorded_at))


def agreement_change(found: agreement_pb2.AgreementChange) -> AgreementChange:
    """A change that an operator asked for, with what became of it."""
    return AgreementChange(
        wanted=agreement(found.wanted),
        based_on=found.based_on_etag,
        etag=found.etag,
        state=_name(
            agreement_pb2.AgreementChangeState.Name(found.state), "AGREEMENT_CHANGE_STATE_"
        ),
        proposed_by=found.proposed_by,
        proposed_with=found.proposed_with,
        proposed_at=instant(found.proposed_at),
        decided_by=found.decided_by,
        decided_with=found.decided_with,
        decided_at=instant(found.decided_at) if found.HasField("decided_at") else None,
        reason=found.reason,
    )


def explanation(found: access_service_pb2.ExplainDecisionResponse) -> Explanation:
    """Why a call was decided as it was."""
    return Explanation(
        allowed=found.allowed,
        agreement=agreement(found.agreement, found.agreement_version)
        if found.HasField("agreement")
        else None,
        legal_basis=found.legal_basis,
        conditions=tuple(
            Condition(each.condition, each.met, each.words_zh, each.words_en)
            for each in found.steps
        ),
        reply_fields=tuple(found.reply_fields),
    )


# --- the catalogue --------------------------------------------------------------------------------


def resource(found: catalogue_pb2.CatalogueResource) -> Resource:
    """A resource of the catalogue."""
    return Resource(
        code=found.resource_code,
        name_zh=found.name_zh,
        name_en=found.name_en,
        abstract=found.abstract,
        provider=found.provider.member,
        provider_zh=found.provider.name_zh,
        credit_code=found.provider.credit_code,
        items=tuple(_item(each) for each in found.items),
        sharing_class=_CLASS_OF[found.sharing_class],
        conditions=found.conditions,
        mode=_name(sharing_pb2.SharingMode.Name(found.mode), "SHARING_MODE_"),
        update_cycle=_name(sharing_pb2.UpdateCycle.Name(found.update_cycle), "UPDATE_CYCLE_"),
        is_open=found.open_to_public,
        methods=tuple(found.methods),
        event_types=tuple(found.event_types),
        published_on=day(found.published_on) if found.HasField("published_on") else None,
        changed_on=day(found.changed_on) if found.HasField("changed_on") else None,
        withdrawn_on=day(found.withdrawn_on) if found.HasField("withdrawn_on") else None,
    )


def _item(found: catalogue_pb2.InformationItem) -> Item:
    personal = {
        catalogue_pb2.PERSONAL_INFORMATION_PERSONAL: "personal",
        catalogue_pb2.PERSONAL_INFORMATION_SENSITIVE: "sensitive",
    }
    return Item(
        path=found.path,
        name_zh=found.name_zh,
        type_zh=found.type_zh,
        sharing_class=_CLASS_OF[found.sharing_class],
        personal=personal.get(found.personal_information, ""),
        law=found.law,
    )


ROLES: Final = {
    catalogue_pb2.DECISION_ROLE_PROVIDER: "provider",
    catalogue_pb2.DECISION_ROLE_OPERATOR: "operator",
}


def access_request(found: catalogue_pb2.AccessRequest) -> AccessRequest:
    """A request for access, with what was decided so far."""
    states = {number: name for name, number in STATES.items()}
    deadline = found.deadline
    return AccessRequest(
        key=found.request_key,
        resource_code=found.resource_code,
        subsystem=found.subsystem,
        purpose=found.purpose,
        legal_basis=found.legal_basis,
        need=found.need,
        paths=tuple(found.paths),
        with_events=found.with_events,
        official_code=found.official_code,
        requested_on=day(found.requested_on),
        state=states[found.state],
        due_on=day(deadline.due_on) if deadline.HasField("due_on") else None,
        working_days=deadline.working_days,
        rule=f"{deadline.document} {deadline.clause}".strip(),
        overdue=found.overdue,
        awaits=tuple(ROLES[role] for role in found.awaits),
        decisions=tuple(
            Approval(
                ROLES[each.role],
                each.approved,
                each.official_code,
                day(each.decided_on),
                each.reason,
            )
            for each in found.decisions
        ),
        agreement_key=found.agreement_key,
    )


# --- the log --------------------------------------------------------------------------------------


def log_line(found: evidence_pb2.LogRecord) -> LogLine:
    """A record as one line."""
    return LogLine(
        index=found.log_index,
        answered_at=instant(found.answered_at),
        kind=found.kind,
        subsystem=found.subsystem,
        method=found.method,
        purpose=found.purpose,
        agreement_key=found.agreement_key,
        agreement_version=found.agreement_version,
        code=found.code,
        reason=found.reason,
        trace_id=found.trace_id,
    )


# --- deliveries -----------------------------------------------------------------------------------


def subscription(found: delivery_pb2.EventSubscription, lag: Lag | None) -> Subscription:
    """A subscription with its lag, as far as that is known."""
    return Subscription(
        subsystem=found.subsystem,
        name=found.subscription_name,
        kind=_name(delivery_pb2.DeliveryKind.Name(found.kind), "DELIVERY_KIND_"),
        state=_name(delivery_pb2.SubscriptionState.Name(found.state), "SUBSCRIPTION_STATE_"),
        pause_cause=_name(delivery_pb2.PauseCause.Name(found.pause_cause), "PAUSE_CAUSE_"),
        paused_at=instant(found.paused_at) if found.HasField("paused_at") else None,
        cursor=found.acknowledged_cursor,
        created_at=instant(found.created_at) if found.HasField("created_at") else None,
        event_types=tuple(found.filter.event_types),
        region_codes=tuple(found.filter.region_codes),
        expression=found.filter.expression,
        url=found.webhook.url or found.topic.topic,
        lag=lag,
    )


def lag(found: delivery_pb2.SubscriptionLag) -> Lag:
    """How far a subscriber is behind."""
    failing = found.HasField("failing_since")
    return Lag(
        newest_cursor=found.newest_cursor,
        events=found.lag_events,
        seconds=found.lag_seconds,
        retrying=found.retrying_events,
        dead_letters=found.dead_letters,
        failing_since=instant(found.failing_since) if failing else None,
    )


def undelivered(found: delivery_pb2.DeliveryDeadLetter) -> Undelivered:
    """A dead letter of a subscription."""
    redelivered = found.HasField("redelivered_at")
    return Undelivered(
        key=found.dead_letter_key,
        cursor=found.cursor,
        event_id=found.event_id,
        event_type=found.event_type,
        subject=found.subject,
        reason=found.reason,
        attempts=found.attempts,
        set_aside_at=instant(found.set_aside_at),
        redelivered_at=instant(found.redelivered_at) if redelivered else None,
        redelivering=found.redelivering,
    )
