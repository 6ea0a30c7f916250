"""Listing: filtered, searched and sorted pages that follow the catalog."""

from __future__ import annotations

import pytest

from index.errors import InputError, UnknownNameError
from index.listing import MAX_TEXT, Listed, Listings


@pytest.fixture
def made(make_catalog):
    """Forty items in four categories, of which one has no price and two none of a kind."""
    made = make_catalog()
    made.fill(40, categories=4)
    vectors, _ = made.points(3, seed=5)
    made.add(["Ärmel 1", "odd/thing", "odd/%_"], vectors, [None, None, "kind-00"], [None, "dear", 7.5])
    return made


def ids(made, listings: Listings, listed: Listed, offset: int = 0, limit: int = 100) -> list[str]:
    """The ids on one page."""
    keys = listings.page(made.catalog, listed, offset, limit).keys
    found = made.catalog.items(keys)
    return [found[key].item_id for key in keys]


def test_pages_together_are_the_whole(made):
    """In order, each item once; a page beyond the end is empty."""
    listings = Listings()
    pages = [ids(made, listings, Listed(), offset, 10) for offset in range(0, 60, 10)]
    together = [item_id for page in pages for item_id in page]
    assert len(together) == 43
    assert together == sorted(together)
    assert pages[-1] == []
    assert ids(made, listings, Listed(), 10**30) == []


def test_what_is_asked_together_holds_together(made):
    """Filter, words, category and kind of media."""
    listings = Listings()
    truth = [i for i in ids(made, listings, Listed(where="price<20")) if i in ids(made, listings, Listed(text="0001"))]
    assert ids(made, listings, Listed(where="price<20", text="0001")) == truth != []
    assert listings.page(made.catalog, Listed(modality="audio"), 0, 5).total == 0
    assert listings.page(made.catalog, Listed(modality="image", category="kind-00"), 0, 0).total == len(
        ids(made, listings, Listed(category="kind-00"))
    )


@pytest.mark.parametrize("text", ["ärmel", "ÄRMEL 1", "1 rmel"])
def test_words_are_found_in_any_case_and_order(made, text):
    """Each of them must stand somewhere."""
    assert ids(made, Listings(), Listed(text=text)) == ["Ärmel 1"]


def test_signs_that_mean_something_elsewhere_are_signs(made):
    """Wildcards of SQL, quotes."""
    assert ids(made, Listings(), Listed(text="%_")) == ["odd/%_"]
    assert ids(made, Listings(), Listed(text="'\"--")) == []


def test_numbers_sort_before_words_and_nothing_comes_last(made):
    """In both directions."""
    listings = Listings()
    up, down = ids(made, listings, Listed(sort="price")), ids(made, listings, Listed(sort="-price"))
    assert up[-2:] == ["odd/thing", "Ärmel 1"]
    assert down[-2:] == ["odd/thing", "Ärmel 1"]
    assert (up[0], down[0]) == ("item-0-00000", "item-0-00039")
    assert set(up) == set(down)


def test_titles_sort_as_they_are_shown(made):
    """Without a title it is the last part of the id."""
    order = ids(made, Listings(), Listed(sort="title"))
    assert order.index("odd/%_") < order.index("item-0-00000") < order.index("odd/thing")


def test_a_listing_follows_the_catalog(made):
    """Added, changed, renamed and removed items are seen, and what was not touched stays."""
    listings = Listings()
    assert listings.page(made.catalog, Listed(text="novelty"), 0, 5).total == 0
    vectors, _ = made.points(1, seed=6)
    made.add(["novelty"], vectors, ["new kind"], [1])
    assert ids(made, listings, Listed(text="novelty")) == ["novelty"]
    assert ("new kind", 1) in listings.contents(made.catalog).categories
    made.add(["item-0-00003"], vectors, ["renowned"])
    assert ids(made, listings, Listed(text="renowned")) == ["item-0-00003"]
    with made.catalog.connection as sql:
        sql.execute("UPDATE items SET id='moved' WHERE id='item-0-00004'")
        made.catalog.next_sequence()
    assert ids(made, listings, Listed(text="moved")) == ["moved"]
    assert ids(made, listings, Listed(text="00004")) == []
    made.remove(["novelty"])
    assert listings.page(made.catalog, Listed(), 0, 5).total == 43
    assert ids(made, listings, Listed(text="novelty")) == []
    assert ids(made, listings, Listed(text="ärmel")) == ["Ärmel 1"]


def test_contents_are_what_there_is(made):
    """Counts by category and kind, and every attribute's name."""
    contents = Listings().contents(made.catalog)
    assert contents.items == 43
    assert contents.modalities == {"image": 43}
    assert sum(count for _, count in contents.categories) == 41
    assert contents.attributes == ["category", "price"]


def test_what_cannot_be_listed_is_told(made):
    """A filter that is none, a name that none has, a text without end."""
    for listed in (Listed(where="price<<"), Listed(sort='"; DROP'), Listed(sort=""), Listed(text="x" * MAX_TEXT + "x")):
        with pytest.raises(InputError):
            Listings().page(made.catalog, listed, 0, 5)
    for listed in (Listed(where="colour=red"), Listed(sort="colour")):
        with pytest.raises(UnknownNameError):
            Listings().page(made.catalog, listed, 0, 5)
