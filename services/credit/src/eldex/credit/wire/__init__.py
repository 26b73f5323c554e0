"""Between the contract's messages and credit's nouns; nothing else knows both."""
