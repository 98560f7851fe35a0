"""Other homes, by the documents' own commands: a Debian with systemd, a Docker engine (`make homes`)."""
