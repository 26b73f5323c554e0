"""Create the topics of the contract on a broker: `python -m eldex.common.topics`."""

from __future__ import annotations

import asyncio

from eldex.api.topics import load_topics
from eldex.common import logs
from eldex.common.kafka import TopicPlan, create_topics
from eldex.common.settings import Settings

_DEAD_LETTER_RETENTION_SECONDS = 30 * 86_400


def plans() -> list[TopicPlan]:
    """Every topic of the contract, and its dead letters."""
    found = []
    for topic in load_topics().values():
        found.append(TopicPlan(topic.name, topic.partitions, topic.retention_seconds))
        found.append(TopicPlan(topic.dead_letters, 1, _DEAD_LETTER_RETENTION_SECONDS))
    return found


def main() -> None:
    """Create what is missing and tell what was created."""
    settings = Settings.read()
    logs.configure("topics", settings.instance, settings.log_level)
    created = asyncio.run(create_topics(settings.kafka_bootstrap, plans()))
    print(f"{len(created)} topic(s) created, {len(plans()) - len(created)} present")


if __name__ == "__main__":
    main()
