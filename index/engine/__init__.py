"""Catalog → generations of rows and cells, and how they are searched."""
