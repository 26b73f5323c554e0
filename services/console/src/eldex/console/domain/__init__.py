"""The nouns of operations: spans and traces, matters, the service map, flows, accounts."""
