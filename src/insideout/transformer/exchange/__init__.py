"""Weights in and out: the families, their files, the hub."""
