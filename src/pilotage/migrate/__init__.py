"""Migrations: files, history, and the runner that changes a schema one half at a time."""
