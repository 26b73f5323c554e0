"""Between the contract's messages and the nouns of institutions; nothing else knows both."""
