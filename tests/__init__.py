"""The tests mirror src/insideout; helpers are imported by their full name, `from tests.training.tiny import Tiny`."""
