"""Envoy as the edge: its configuration as files, its switch as one rename, its drain as exact counts."""

from pilotage.proxy.envoy.config import EnvoySettings, TlsFiles
from pilotage.proxy.envoy.proxy import EnvoyProxy, local_edge

__all__ = ["EnvoyProxy", "EnvoySettings", "TlsFiles", "local_edge"]
