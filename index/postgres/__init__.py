"""Serving a catalog from PostgreSQL with pgvector: pushed there from its folder, and only read from there."""
