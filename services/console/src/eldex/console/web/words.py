"""What departments, events and methods are called in words; English here, 中文 in the catalogue."""

from __future__ import annotations

import re
from typing import Final

from eldex.common.errors import Language
from eldex.console.web.language import translate

DEPARTMENTS: Final = {
    "registry": "Registry",
    "medical": "Medical insurance",
    "subsidies": "Subsidies",
    "institutions": "Institutions",
    "credit": "Credit",
    "exchange": "Exchange",
    "console": "Console",
}

EVENTS: Final = {
    "ResidentRegistered": "a resident was entered in the registry",
    "ResidentMoved": "a resident moved to another division",
    "ResidentDeceased": "a resident has died",
    "ResidentDeathRevoked": "a death that was reported in error was revoked",
    "ResidentMerged": "two entries of one resident were merged",
    "ResidentMergeReversed": "a merge of residents was reversed",
    "EligibilityGranted": "a resident came into an eligibility class",
    "EligibilityEnded": "a resident left an eligibility class",
    "AssessmentCompleted": "an ability assessment was completed",
    "AssessmentConfirmed": "an ability assessment was confirmed after a dispute",
    "AssessmentDisputed": "an ability assessment was disputed",
    "AssessmentAnnulled": "an ability assessment was annulled",
    "GuardianAppointed": "a guardian was appointed",
    "GuardianshipEnded": "a guardianship ended",
    "HouseholdChanged": "a household changed",
    "EnrolmentOpened": "an insurance began",
    "EnrolmentSuspended": "an insurance was suspended",
    "EnrolmentResumed": "an insurance was resumed",
    "EnrolmentEnded": "an insurance ended",
    "RemoteFilingApproved": "care in another place was filed",
    "RemoteFilingEnded": "a filing of care in another place ended",
    "ClaimSettled": "a claim was settled",
    "SettlementReversed": "a settlement was reversed",
    "LongTermCareGranted": "a long-term-care benefit was granted",
    "LongTermCareEnded": "a long-term-care benefit ended",
    "FamilyDoctorContracted": "a family doctor was contracted",
    "FamilyDoctorContractEnded": "a family-doctor contract ended",
    "EntitlementGranted": "a subsidy was granted",
    "EntitlementAmountChanged": "the amount of a subsidy changed",
    "EntitlementStopped": "a subsidy was stopped",
    "EntitlementResumed": "a subsidy was resumed",
    "EntitlementEnded": "a subsidy ended",
    "DisbursementMade": "a subsidy was paid",
    "RecoveryOpened": "an overpayment is to be recovered",
    "RecoverySettled": "an overpayment was recovered",
    "InstitutionSubsidyGranted": "a subsidy for an institution was granted",
    "InstitutionSubsidyStopped": "a subsidy for an institution was stopped",
    "InstitutionSubsidyResumed": "a subsidy for an institution was resumed",
    "InstitutionSubsidyPaid": "a subsidy for an institution was paid",
    "InstitutionRecoveryOpened": "an overpayment of an institution is to be recovered",
    "InstitutionRecoverySettled": "an overpayment of an institution was recovered",
    "InstitutionFiled": "an institution was filed",
    "InstitutionOpened": "an institution began operation",
    "InstitutionSuspended": "an institution was suspended",
    "InstitutionResumed": "an institution resumed operation",
    "InstitutionClosed": "an institution closed",
    "InstitutionGraded": "an institution was graded",
    "AdmissionsHalted": "an institution may admit nobody for now",
    "AdmissionsReopened": "an institution may admit again",
    "InspectionRecorded": "an inspection was recorded",
    "HazardOpened": "a hazard was found",
    "HazardRectified": "a hazard was rectified",
    "PenaltyImposed": "a penalty was imposed",
    "BedOccupied": "a bed was taken",
    "BedReleased": "a bed became free",
    "BedConverted": "a bed changed its class",
    "PartyListed": "a party was put on a credit list",
    "PartyDelisted": "a party was taken off a credit list",
    "JointPunishmentOrdered": "joint punishment was ordered",
    "JointPunishmentLifted": "joint punishment was lifted",
    "RecordDisclosed": "a credit record was disclosed",
    "AccessDenied": "access to a resource was refused",
    "AccessGranted": "access to a resource was granted",
    "AccessRequested": "access to a resource was asked for",
    "CatalogResourcePublished": "a resource of the catalogue was released",
    "BreakGlassUsed": "an emergency call was made",
    "BreakGlassReviewed": "an emergency call was reviewed",
    "JoiningRequested": "a member asked to join",
    "MemberAdmitted": "a member was admitted",
    "JoiningRefused": "a member was not admitted",
    "CertificateIssued": "a member was given a certificate",
    "CertificateRevoked": "a certificate of a member was revoked",
    "SubscriptionPaused": "the delivery to a partner was held",
    "SubscriptionResumed": "the delivery to a partner goes on",
}

SPANS: Final = {
    "send": "tells %s",
    "process": "acts on %s",
    "deliver to partner": "hands an event to a partner",
    "replay dead letter": "replays a dead letter",
}
"""What the house's own spans are called; `%s` is the topic."""

NAMED: Final = {
    "standing": {
        "in-force": "in force",
        "not-yet": "not yet in force",
        "ended": "ended",
        "suspended": "suspended",
    },
    "term": {
        "subsystem": "Subsystem",
        "methods": "Data services",
        "purposes": "Purposes",
        "consent": "Purposes that need consent",
        "legal_basis": "Legal basis",
        "valid_from": "From",
        "valid_to": "Until (exclusive)",
        "reply_fields": "Fields of the reply",
        "request_fields": "Fields of the request",
        "event_types": "Events",
        "event_fields": "Fields of the events",
        "region_codes": "Divisions of the events",
        "caller_region_codes": "Cities that may call",
        "subject_region_codes": "Divisions of the people",
        "rows_per_call": "Rows a call",
        "rows_per_day": "Rows a day",
        "checks_subjects": "People's divisions are checked",
        "permits_break_glass": "Permits emergencies",
        "conceals_existence": "Conceals whether somebody is there",
        "suspended": "Suspended",
    },
    "class": {
        "unconditional": "unconditional",
        "conditional": "conditional",
        "not-shared": "not shared",
    },
    "personal": {"personal": "personal", "sensitive": "sensitive"},
    "mode": {
        "service": "data service",
        "verification": "verification",
        "unspecified": "not said",
    },
    "cycle": {
        "real-time": "in real time",
        "monthly": "monthly",
        "yearly": "yearly",
        "as-needed": "as needed",
        "unspecified": "not said",
    },
    "role": {"provider": "provider", "operator": "operator of the exchange"},
    "request": {"pending": "waiting", "granted": "granted", "denied": "denied"},
    "change": {
        "waiting": "waits for a second operator",
        "approved": "approved",
        "refused": "refused",
    },
    "joining": {
        "pending": "to be decided",
        "invited": "invited",
        "admitted": "admitted",
        "refused": "refused",
    },
    "certificates": {"current": "in force", "revoked": "revoked", "all": "all"},
    "validity": {
        "good": "in force",
        "ending": "ends soon",
        "ended": "ended",
        "revoked": "revoked",
    },
    "record": {"call": "call", "admin": "administration", "delivery": "delivery of an event"},
    "check": {
        "record": "The record is spelt in its one canonical form and is the one asked for",
        "inclusion": "Its leaf leads up to the root of the checkpoint",
        "signature": "The checkpoint is signed with the log's key that is trusted here",
        "witnesses": "Enough partners have co-signed the checkpoint",
    },
    "kind": {
        "stream": "stream",
        "webhook": "webhook",
        "topic": "Kafka topic",
        "unspecified": "stream",
    },
    "state": {"active": "active", "paused": "paused", "deleted": "given up"},
    "cause": {
        "owner": "by its owner",
        "operator": "by operators",
        "endpoint-dead": "the endpoint accepted nothing for too long",
        "endpoint-gone": "the endpoint answered 410 Gone",
    },
    "act": {
        "sign-in": "sign in",
        "sign-out": "sign out",
        "replay": "replay",
        "close": "close a dead letter",
        "pause": "hold a delivery",
        "resume": "resume a delivery",
        "replay-subscription": "replay a subscription",
        "redeliver": "redeliver",
        "look-into-log": "look into the message log",
        "approve-change": "approve a change of an agreement",
        "refuse-change": "refuse a change of an agreement",
        "admit-member": "admit a member",
        "refuse-member": "refuse to admit a member",
        "revoke-certificate": "revoke a certificate",
    },
    "account": {"viewer": "Viewer", "auditor": "Auditor", "operator": "Operator"},
    "reason": {
        "TIMEOUT": "the endpoint did not answer in time",
        "NAME_UNKNOWN": "the endpoint's name is not known",
        "NOT_REACHED": "the endpoint could not be reached",
        "NO_ANSWER": "the endpoint broke off without an answer",
        "TLS_REFUSED": "the endpoint's certificate was not accepted",
        "ENDPOINT_REFUSED": "the endpoint's address is not allowed",
        "UNAVAILABLE": "something it needs does not answer; it goes on by itself",
        "DEFECT": "a defect of the service; see its log",
    },
}
"""Words for what the exchange and the departments tell by stable names, by the kind of name."""

ANSWERED: Final = "the endpoint answered HTTP %s"

_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def department(name: str, language: Language) -> str:
    """A service by its name in words; a member of the exchange as it is."""
    return translate(DEPARTMENTS[name], language) if name in DEPARTMENTS else name


def event(full_name: str, language: Language) -> str:
    """An event in words; one that is not known here by its own name."""
    short = full_name.rpartition(".")[2]
    return translate(EVENTS.get(short, short), language)


def method(full_name: str, language: Language) -> str:
    """An rpc in words: `/eldex.api.registry.v1.RegistryService/RegisterDeath` → "register death"."""
    short = re.split(r"[/.]", full_name)[-1]
    return translate(_WORDS.sub(" ", short).lower(), language)


def about(full_name: str, language: Language) -> str:
    """An event or an rpc in words, whichever it is."""
    return method(full_name, language) if "/" in full_name else event(full_name, language)


def span(name: str, language: Language) -> str:
    """A span's name in words; one that is not of this house as it is."""
    if "/" in name:
        return method(name, language)
    verb, _, topic = name.partition(" ")
    if topic and "%s" in SPANS.get(verb, ""):
        return translate(SPANS[verb], language).replace("%s", topic)
    return translate(SPANS.get(name, name), language)


def named(name: str, kind: str, language: Language) -> str:
    """A stable name in words; one that is not known here as it is."""
    return translate(NAMED[kind].get(name, name), language)


def reason(code: str, language: Language) -> str:
    """Why an event could not be delivered, in words; empty if there are none."""
    if code.startswith("HTTP_"):
        return translate(ANSWERED, language).replace("%s", code[5:])
    return translate(NAMED["reason"][code], language) if code in NAMED["reason"] else ""
