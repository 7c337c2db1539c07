"""The shape of ``deploy.yml``: one pydantic model a section, every key with its meaning.

`kamal` holds what a Kamal 2 file may contain, `own` what pilotage adds, `file` the two together. The
models check shapes and types; what contradicts what is in `pilotage.config.rules`.
"""
