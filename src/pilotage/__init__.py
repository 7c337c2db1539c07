"""Pilotage: deploys a web app and its database schema together, from one release to the next."""
