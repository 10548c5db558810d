"""The town: a small generated world whose true state is known, told in plain English, with a gold judge."""
