"""Between the contract's messages and the registry's nouns; nothing else knows both."""
