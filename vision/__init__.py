"""Picture file → vector."""
