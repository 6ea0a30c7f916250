"""Vectors → answers."""
