"""A catalog that may be deleted, replaced or repaired while it is being asked."""

from __future__ import annotations

from pathlib import Path

from index.address import Place, is_postgres
from index.catalog import Catalog, identity_at
from index.errors import NotACatalogError, StorageError
from index.opening import open_recommender
from index.reading import CatalogReader
from index.recommender import Recommender


class LiveCatalog:
    """Opens a catalog when it is needed, and again when another one lies in its place. Serves one thread at a time."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.folder = Path(place)
        """What messages call it; where it is a folder, that."""
        self._recommender: Recommender | None = None

    @property
    def recommender(self) -> Recommender:
        """A recommender on what lies in the folder now; the one it gave before, as long as that is it.

        Raises:
            NotACatalogError: Nothing is there now, or another format version.
            StorageError: The database cannot be read.
        """
        held = self._recommender
        if is_postgres(self.place):
            if held is None:
                held = self._recommender = open_recommender(self.place)
            return held
        now = identity_at(self.folder)
        if held is not None and now == held.catalog.identity:
            return held
        self.close()
        if now is None:
            raise NotACatalogError(
                f"{self.folder} holds no catalog now; put it back, or make one with: simkin index SOURCE "
                f"--catalog {self.folder}"
            )
        self._recommender = open_recommender(self.folder)
        return self._recommender

    @property
    def catalog(self) -> CatalogReader:
        """The catalog that lies in the folder now; raises as ``recommender``."""
        return self.recommender.catalog

    @property
    def writable(self) -> Catalog:
        """The catalog, to be changed; raises as ``recommender``.

        Raises:
            InputError: It lies in a database, which is only read.
        """
        held = self.catalog
        return held if isinstance(held, Catalog) else Catalog.open(self.place)  # which says what to do

    def doubt(self, error: Exception) -> None:
        """Be told of an error: after trouble with the storage everything is opened anew."""
        if isinstance(error, StorageError):
            self.close()

    def close(self) -> None:
        """Close what is open; the next question opens it again."""
        if self._recommender is not None:
            self._recommender.catalog.close()
            self._recommender = None
