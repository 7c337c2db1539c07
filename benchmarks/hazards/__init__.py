"""The hazard linter beside squawk: how long it takes, what it finds, and where it keeps still."""
