"""The edge: who gets new requests. `base` is the protocol, `envoy` the implementation."""
