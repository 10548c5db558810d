"""One file a command: a dataclass whose fields are its flags, their docstrings its help, and `run` what it does."""
