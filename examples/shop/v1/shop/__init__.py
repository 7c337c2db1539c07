"""A small shop: orders come in through the web role and are shipped by the worker role."""
