"""What one machine keeps for pilotage: files that are written whole, a fence, processes known by birth.

The local target and the proxy both stand on this, and neither on the other. Nothing here knows of
releases, roles or routes.
"""
