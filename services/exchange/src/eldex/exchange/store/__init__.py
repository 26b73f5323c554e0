"""What the exchange keeps: agreements and subscriptions, the feed of events, the message log."""
