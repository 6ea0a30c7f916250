"""Which items of a catalog pass a filter."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from index.catalog import Catalog
from index.errors import UnknownNameError
from index.filters import contains, parse_filter


def matching_keys(catalog: Catalog, where: str) -> NDArray[np.int64]:
    """Database keys of the items that pass a filter, ascending. int64, shape ``(n,)``.

    Args:
        where: See ``index.filters``.

    Raises:
        InputError: It is no filter.
        UnknownNameError: Nothing passes, and it names an attribute that no item has.
    """
    condition = parse_filter(where)
    connection = catalog.connection
    connection.create_function("contains", 2, contains, deterministic=True)
    rows = connection.execute(f"SELECT item FROM items i WHERE {condition.sql} ORDER BY item", condition.parameters)
    found = np.fromiter((row[0] for row in rows), np.int64)
    if not len(found):
        every = connection.execute("SELECT DISTINCT key FROM items, json_each(items.attributes)")
        known = {"id", *(name for (name,) in every)}
        for name in sorted(condition.names - known):
            raise UnknownNameError.of("attribute", name, known)
    return found
