"""Agreements, subscriptions and their deliveries in MongoDB."""

from __future__ import annotations

from typing import ClassVar

from eldex.common.store import Index, Repository, Session
from eldex.exchange.domain.agreement_changes import AgreementChange
from eldex.exchange.domain.agreements import Agreement
from eldex.exchange.domain.subscriptions import Subscription
from eldex.exchange.handlers import Stores
from eldex.exchange.store.access import (
    ACCESS_REPOSITORIES,
    MongoBreakGlasses,
    MongoConsents,
    MongoReviewRules,
)
from eldex.exchange.store.catalogue import CATALOGUE_REPOSITORIES, catalogue_stores
from eldex.exchange.store.deliveries import MongoDeadLetters, MongoDeliveries
from eldex.exchange.store.membership import (
    MEMBERSHIP_REPOSITORIES,
    MongoCertificates,
    MongoJoinings,
)
from eldex.exchange.store.shreddings import MongoShreddings


class MongoAgreements(Repository[Agreement]):
    """Agreements; every version is kept, so that a past decision can be explained."""

    kind = Agreement
    collection = "agreements"
    history = True
    indexes: ClassVar[tuple[Index, ...]] = (Index((("subsystem", 1),)),)


class MongoAgreementChanges(Repository[AgreementChange]):
    """What operators asked for, by the agreement's key; every version is kept."""

    kind = AgreementChange
    collection = "agreement_changes"
    history = True


class MongoSubscriptions(Repository[Subscription]):
    """Subscriptions by `<subsystem>/<name>`."""

    kind = Subscription
    collection = "subscriptions"
    indexes: ClassVar[tuple[Index, ...]] = (Index((("subsystem", 1),)),)


def stores(session: Session) -> Stores:
    """The exchange's ports on one session."""
    return Stores(
        agreements=MongoAgreements(session),
        agreement_changes=MongoAgreementChanges(session),
        subscriptions=MongoSubscriptions(session),
        consents=MongoConsents(session),
        break_glasses=MongoBreakGlasses(session),
        review_rules=MongoReviewRules(session),
        shreddings=MongoShreddings(session),
        catalogue=catalogue_stores(session),
        deliveries=MongoDeliveries(session),
        letters=MongoDeadLetters(session),
        joinings=MongoJoinings(session),
        certificates=MongoCertificates(session),
    )


REPOSITORIES = (
    MongoAgreements,
    MongoAgreementChanges,
    MongoSubscriptions,
    MongoShreddings,
    *ACCESS_REPOSITORIES,
    *CATALOGUE_REPOSITORIES,
    MongoDeliveries,
    MongoDeadLetters,
    *MEMBERSHIP_REPOSITORIES,
)
