"""Relations fitted to the owner's own behaviour data: reading it, learning from it, and judging what was learned."""
