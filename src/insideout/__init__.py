"""Transformers from the Inside Out: a book whose chapters run, and the library they build."""

__version__ = "0.1.0"
