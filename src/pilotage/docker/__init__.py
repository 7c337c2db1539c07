"""Words for Docker's command line, shared by all that runs containers. Nothing is run here."""
