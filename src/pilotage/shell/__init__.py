"""Commands on hosts: on this machine, or over one SSH connection a host."""
