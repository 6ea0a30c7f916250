"""Batch embedding jobs: media files anywhere → Parquet shards of vectors, and shards → a catalog."""
