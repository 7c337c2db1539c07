"""The door of a host: one Caddy before the edges of all its services, for names, paths and certificates.

It changes only when a name, a path or a certificate does: which instance answers is the edge's business.
"""

from pilotage.proxy.door.door import Door
from pilotage.proxy.door.entrance import Entrance
from pilotage.proxy.door.fragment import Acme, DoorSettings, Fragment, OwnCertificate

__all__ = ["Acme", "Door", "DoorSettings", "Entrance", "Fragment", "OwnCertificate"]
