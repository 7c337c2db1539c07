"""What targets have in common: what an instance is told, and how it is asked whether it is well."""
