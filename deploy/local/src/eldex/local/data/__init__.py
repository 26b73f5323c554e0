"""What the fictional city begins with."""
