"""The HTTP API and the gallery: each endpoint parses, calls the library and prints JSON."""
