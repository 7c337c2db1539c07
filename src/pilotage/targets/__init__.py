"""Where instances run. `base` is the protocol; the others never import each other, but for `shared`."""
