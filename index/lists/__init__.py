"""Answers that are more than one item: outfits, paths, clusters."""
