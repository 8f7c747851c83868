"""Guard: check every output while it is made."""
