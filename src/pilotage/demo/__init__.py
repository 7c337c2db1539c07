"""The demo: the example shop goes through its releases under constant load, and loses no request.

``pilotage demo`` (or ``python -m pilotage.demo``) builds a git repository of ``examples/shop``, starts
an embedded PostgreSQL, and then does what a person would do: it types commands of ``pilotage``. It
imports nothing of the deployer, so what it shows is what a user gets.
"""
