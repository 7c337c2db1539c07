"""Measurements of what a site feels while its schema and data change."""
