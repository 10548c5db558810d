"""Exercises of part 1: one module a chapter."""
