"""Where examples come from: corpora by name, by path, or already on this machine."""
