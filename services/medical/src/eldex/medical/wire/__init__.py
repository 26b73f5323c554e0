"""Between the messages of the contract and the nouns of medical insurance."""
