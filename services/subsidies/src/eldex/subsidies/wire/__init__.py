"""Between the contract's messages, the parameter files and the nouns of subsidies."""
