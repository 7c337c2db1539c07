"""What `pilotage hazards` needs of the world around its files: the folder, a database, git.

Apart from `pilotage.wiring`, which knows every part of a service and takes its time to import.
"""
