"""Resolving: edges between ids, as files name them, become edges between the numbered items of a catalog."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from index.encoders import modality_of
from index.errors import InputError
from index.learning.edges import Edge, EdgeArrays

EXAMPLES = 20
"""How many unknown ids, and ids found by their file name, are listed."""

REMEMBERED = 1 << 17
"""Ids whose item is remembered, so that most are looked for once."""


@dataclass(frozen=True, slots=True)
class ResolveReport:
    """What became of the edges.

    Attributes:
        edges: Edges given.
        kept: Different edges that remain.
        other_relations: Edges of relations that were not asked for, by relation.
        unknown: Edges left out because an item is unknown.
        self_loops: Edges left out because they link an item to itself.
        duplicates: Edges that were added to an equal one.
        unknown_ids: How many different ids are unknown.
        unknown_examples: The first twenty of them.
        by_name: How many different ids were found by their file name, not as they stand.
        by_name_examples: The first twenty of them: as the edge names it, and the catalog's id.
    """

    edges: int
    kept: int
    other_relations: Mapping[str, int]
    unknown: int
    self_loops: int
    duplicates: int
    unknown_ids: int
    unknown_examples: tuple[str, ...]
    by_name: int
    by_name_examples: tuple[tuple[str, str], ...]


def resolve_edges(
    edges: Iterable[Edge], numbers: Mapping[str, int], *, relation: str = "", directed: bool = True
) -> tuple[EdgeArrays, ResolveReport]:
    """Look up both items of each edge, drop what cannot be used, and add up what stands there twice.

    An id that the catalog does not have as it stands is looked for as a path: without leading folders, as the end
    of exactly one of the catalog's ids, and both again without the ending of a picture or sound. So ``shoes/17`` and
    ``/data/shoes/17.jpg`` both find ``shoes/17.jpg``, and ``hats/17.jpg`` does not.

    Args:
        edges: Each with a finite weight above 0.
        numbers: The catalog's ids → row numbers, or any other numbers from 0 that tell items apart.
        relation: Leave out edges that name another one; edges that name none count for any. Empty: take all.
        directed: Keep (a, b) apart from (b, a); otherwise the smaller number becomes the source and both are added.

    Returns:
        Edges in ascending order of source, target and user, with the sum of weights of equal ones; and the report.

    Raises:
        InputError: Nothing is left, or a weight is not a finite number above 0.
    """
    finder = _Finder(numbers)
    find = lru_cache(REMEMBERED)(finder.find)
    users: dict[str, int] = {}
    sources, targets, owners, weights = array("q"), array("q"), array("i"), array("d")
    others: Counter[str] = Counter()
    given = unknown = loops = 0
    for edge in edges:
        given += 1
        if not edge.is_of(relation):
            others[edge.relation] += 1
            continue
        if not (math.isfinite(edge.weight) and edge.weight > 0):
            raise InputError(
                f"the weight of edge {edge.source!r} to {edge.target!r} must be a number above 0, found {edge.weight}"
            )
        source, target = find(edge.source), find(edge.target)
        if source < 0 or target < 0:
            unknown += 1
        elif source == target:
            loops += 1
        else:
            sources.append(source)
            targets.append(target)
            owners.append(users.setdefault(edge.user, len(users)) if edge.user else -1)
            weights.append(edge.weight)
    if not sources:
        raise InputError(_nothing_left(given, others, unknown, loops, relation, finder))
    arrays = _merged(sources, targets, owners, weights, tuple(users), directed=directed)
    report = ResolveReport(
        edges=given,
        kept=len(arrays.pairs),
        other_relations=dict(others),
        unknown=unknown,
        self_loops=loops,
        duplicates=len(sources) - len(arrays.pairs),
        unknown_ids=finder.unknown_count(),
        unknown_examples=tuple(finder.unknown),
        by_name=finder.by_name_count(),
        by_name_examples=tuple(finder.by_name.items()),
    )
    return arrays, report


def renumber(edges: EdgeArrays, keys: NDArray[np.int64]) -> EdgeArrays:
    """Turn database keys into row numbers; edges to items without a row are left out.

    Args:
        edges: Between database keys.
        keys: int64, shape ``(n,)``: the key of each row, each once, in any order.

    Returns:
        Edges between rows 0 … n - 1, in the given order, with all user names.
    """
    if not len(keys):
        rows, known = np.zeros_like(edges.pairs), np.zeros(len(edges.pairs), bool)
    else:
        order = np.argsort(keys)
        places = np.searchsorted(keys, edges.pairs, sorter=order).clip(max=len(keys) - 1)
        rows = order[places].astype(np.int64)
        known = (keys[rows] == edges.pairs).all(axis=1)
    return EdgeArrays(rows[known], edges.weights[known], edges.users[known], edges.user_names)


def finder_of(numbers: Mapping[str, int]) -> Callable[[str], int]:
    """A function from ids, as files name them, to their numbers, or -1, as ``resolve_edges`` looks them up."""
    return _Finder(numbers).find


class Naming:
    """Whether an item may be what one of some names means that no id is equal to, as ``resolve_edges`` matches paths.

    Args:
        names: As files of edges give them.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._whole = {_without_ending(name.replace("\\", "/")) for name in names}
        self._ends = {end for path in self._whole for end in _ends(path)}

    def __contains__(self, item_id: str) -> bool:
        path = _without_ending(item_id)
        return path in self._ends or any(end in self._whole for end in _ends(path))


class _Finder:
    """Finds a catalog's items by id, and by file name where ids do not match.

    Attributes:
        unknown: The first ids that were not found.
        by_name: The first that were found by file name → the catalog's id.
    """

    def __init__(self, numbers: Mapping[str, int]) -> None:
        self.numbers = numbers
        self.unknown: dict[str, None] = {}
        self.by_name: dict[str, str] = {}
        self._unknown_hashes, self._by_name_hashes = array("q"), array("q")  # eight bytes each, however many come
        self._views: tuple[_View, _View] | None = None

    def find(self, given: str) -> int:
        """The item's number, or -1."""
        number = self.numbers.get(given)
        if number is not None:
            return number
        found = self._by_path(given.replace("\\", "/"))
        if not found:
            self._unknown_hashes.append(hash(given))
            if len(self.unknown) < EXAMPLES:
                self.unknown[given] = None
            return -1
        self._by_name_hashes.append(hash(given))
        if len(self.by_name) < EXAMPLES:
            self.by_name[given] = found
        return self.numbers[found]

    def unknown_count(self) -> int:
        """How many different ids were not found."""
        return len(np.unique(self._unknown_hashes))

    def by_name_count(self) -> int:
        """How many different ids were found by file name."""
        return len(np.unique(self._by_name_hashes))

    def _by_path(self, given: str) -> str:
        """The one id that is the end of this path, or of which it is the end, with or without ending; else empty."""
        for view in self._views or self._look_at_ids():
            path = view.form(given)
            for end in _ends(path):
                if found := view.whole.get(end):
                    return found
            found = view.last.get(_last(path), "")
            if found and view.form(found).endswith("/" + path):
                return found
        return ""

    def _look_at_ids(self) -> tuple[_View, _View]:
        self._views = _view(self.numbers, str), _view(self.numbers, _without_ending)
        return self._views


@dataclass(frozen=True, slots=True)
class _View:
    """A catalog's ids in another form: as it stands in full, and its last part; empty where several ids share it."""

    form: Callable[[str], str]
    whole: Mapping[str, str]
    last: Mapping[str, str]


def _view(ids: Iterable[str], form: Callable[[str], str]) -> _View:
    whole: dict[str, str] = {}
    last: dict[str, str] = {}
    for item_id in ids:
        path = form(item_id)
        whole[path] = "" if path in whole else item_id
        name = _last(path)
        last[name] = "" if name in last else item_id
    return _View(form, whole, last)


def _without_ending(path: str) -> str:
    return path[: path.rindex(".")] if modality_of(path) else path


def _last(path: str) -> str:
    return path[path.rfind("/") + 1 :]


def _ends(path: str) -> Iterator[str]:
    """The path, then without its first part, and so on to its last one."""
    while path:
        yield path
        path = path.partition("/")[2]


def _merged(
    sources: array[int], targets: array[int], owners: array[int], weights: array[float], names: tuple[str, ...],
    *, directed: bool,
) -> EdgeArrays:  # fmt: skip
    first, second = np.frombuffer(sources, np.int64), np.frombuffer(targets, np.int64)
    if not directed:
        first, second = np.minimum(first, second), np.maximum(first, second)
    users = np.frombuffer(owners, np.int32)
    order = np.lexsort((users, second, first))
    first, second, users = first[order], second[order], users[order]
    same = (first[1:] == first[:-1]) & (second[1:] == second[:-1]) & (users[1:] == users[:-1])
    starts = np.flatnonzero(np.concatenate([[True], ~same]))
    with np.errstate(over="ignore"):
        sums = np.add.reduceat(np.frombuffer(weights, np.float64)[order], starts)
    sums = sums.clip(np.finfo(np.float32).tiny, np.finfo(np.float32).max)  # above 0 and finite as float32, too
    pairs = np.column_stack([first[starts], second[starts]])
    return EdgeArrays(pairs, sums.astype(np.float32), users[starts].astype(np.int64), names)


def _nothing_left(given: int, others: Counter[str], unknown: int, loops: int, relation: str, finder: _Finder) -> str:
    if not given:
        return "there are no edges; give a file that names at least one pair of items"
    parts = []
    if others:
        parts.append(f"{others.total()} are of other relations than {relation!r} ({', '.join(sorted(others)[:5])})")
    if unknown:
        examples = ", ".join(map(repr, list(finder.unknown)[:3]))
        known = ", ".join(map(repr, islice(finder.numbers, 3))) or "none"
        parts.append(f"{unknown} name unknown items (such as {examples}; the catalog's ids look like {known})")
    if loops:
        parts.append(f"{loops} link an item to itself")
    remedy = "make ids agree" if unknown else "ask for another relation" if others else "give pairs of different items"
    return f"none of {given} edges can be used: {'; '.join(parts)}; {remedy}"
