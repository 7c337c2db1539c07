"""``pilotage entrypoint`` and ``pilotage wait``: the rule for containers that nobody but their platform starts.

``match`` whether a command is a server · ``place`` where the schema is, and what the image ships · ``door``
the start gate, with a session that lives as long as the process · ``prepare`` the release phase, under lease
and lock · ``start`` the story of both commands · ``signals`` how they end.

What runs in every container start imports little: the runner is loaded by the one that prepares.
"""
