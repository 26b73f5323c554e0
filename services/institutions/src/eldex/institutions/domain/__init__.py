"""The nouns and rules of institutions, one file each; they know nobody."""
