"""Everybody's neighbours among shards of vectors, of which an index is built partition by partition."""
