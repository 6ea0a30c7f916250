"""Catalog → generations of rows and trees, and how they are searched."""
