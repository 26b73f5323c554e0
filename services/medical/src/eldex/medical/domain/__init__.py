"""The nouns of medical insurance and their rules; they know nobody."""
