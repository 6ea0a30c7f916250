"""Opening a catalog for questions, wherever it lies."""

from __future__ import annotations

from index.address import Place, PostgresAddress, is_postgres
from index.catalog import Catalog
from index.reading import CatalogReader
from index.recommender import Recommender


def open_catalog(place: Place) -> CatalogReader:
    """Open a catalog for reading.

    Args:
        place: A folder, or ``postgresql://…``.

    Raises:
        NotACatalogError: Nothing is there, or another format version.
        StorageError: It cannot be read, or the server cannot be reached.
        MissingExtraError: The extra [postgres] is not installed.
        InputError: The address cannot be read.
    """
    if not is_postgres(place):
        return Catalog.open(place)
    from index.postgres.catalog import PostgresCatalog

    return PostgresCatalog(PostgresAddress.parse(str(place)))


def open_recommender(place: Place) -> Recommender:
    """Open a catalog for questions; raises as ``open_catalog``."""
    if not is_postgres(place):
        return Recommender(Catalog.open(place))
    from index.postgres.catalog import PostgresCatalog
    from index.postgres.recommender import PostgresRecommender

    return PostgresRecommender(PostgresCatalog(PostgresAddress.parse(str(place))))
