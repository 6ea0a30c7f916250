"""Sound file → vector."""
