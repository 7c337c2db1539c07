"""Pages of text that a command prints at once: a plan, a status, a history. Lines in, lines out."""
