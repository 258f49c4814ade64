"""The documents: every code block is run."""
