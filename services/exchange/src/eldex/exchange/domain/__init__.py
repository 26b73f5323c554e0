"""Nouns and rules of the exchange: agreements, subscriptions and their filters, the message log."""
