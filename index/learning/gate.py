"""The gate: a learned relation is saved only if it beats the unlearned one, the same-category baselines and chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from index.errors import InputError
from index.learning.baselines import CHANCE, SAME_CATEGORY, SAME_CATEGORY_POPULAR, chance_scorer, same_category_scorer
from index.learning.intervals import Interval, bootstrap
from index.learning.links import (
    Links,
    LinkScores,
    NegativeKind,
    draw_links,
    has_categories,
    score_links,
    threshold_of,
    training_links,
)
from index.learning.scorers import Contender
from index.learning.splits import TEST, Split
from index.relations import CandidateRule

Verdict: TypeAlias = Literal["better", "not better", "cannot tell"]
Decision: TypeAlias = Literal["passed", "refused", "cannot tell"]

MIN_EDGES = 50
MIN_QUERIES = 10
"""With fewer held-out edges, or edges of fewer sources, a comparison cannot tell: its interval would mislead."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A learned relation that was fitted on one split's training edges, beside the unlearned one.

    Attributes:
        split: What was held out.
        learned: Fitted on ``split.train`` (settings chosen on ``split.validation``), never on ``split.test``.
        unlearned: The relation as it is without learning, such as the cosine of its weighted facets.
    """

    split: Split
    learned: Contender
    unlearned: Contender


@dataclass(frozen=True, slots=True)
class Comparison:
    """The learned relation against one other, on one kind of held-out pairs.

    Attributes:
        split: ``"warm"`` or ``"cold"``.
        negatives: What edges are told apart from.
        against: Name of the other.
        ours, theirs: How often a held-out edge scores above its own negative (the AUC within queries).
        difference: Ours less theirs on the same edges, with the paired bootstrap interval by source.
        our_accuracy, their_accuracy: Pairs called rightly at P > 0.5; shown, not decided by.
        queries: Distinct sources among the edges.
        verdict: ``"better"`` when the whole 95 % interval of the difference lies above 0, ``"cannot tell"`` when
            there are fewer than ``MIN_EDGES`` edges or ``MIN_QUERIES`` sources, else ``"not better"``.
    """

    split: Literal["warm", "cold"]
    negatives: NegativeKind
    against: str
    ours: Interval
    theirs: Interval
    difference: Interval
    our_accuracy: float
    their_accuracy: float
    queries: int
    verdict: Verdict

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "split": self.split,
            "negatives": self.negatives,
            "against": self.against,
            "ours": self.ours.to_json(),
            "theirs": self.theirs.to_json(),
            "difference": self.difference.to_json(),
            "accuracy": {"ours": self.our_accuracy, "theirs": self.their_accuracy},
            "queries": self.queries,
            "verdict": self.verdict,
        }


@dataclass(frozen=True, slots=True)
class GateResult:
    """What the gate says, and why.

    Attributes:
        decision: ``"passed"`` when every comparison says ``"better"``; ``"refused"`` when one says
            ``"not better"``; else ``"cannot tell"``. Only ``"passed"`` is to be saved: what cannot be shown to be
            better has not been shown to be better.
        comparisons: All that were made.
        notes: Sentences on comparisons that could not be made at all.
        splits: The splits' counts, seeds and data hashes.
        seed: Of negatives and intervals.
    """

    decision: Decision
    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...]
    splits: tuple[dict[str, Any], ...]
    seed: int

    @property
    def passed(self) -> bool:
        """Whether the relation may be saved."""
        return self.decision == "passed"

    @property
    def sentence(self) -> str:
        """The decision in one sentence, with the comparison that is worst."""
        if self.decision == "passed":
            least = min(self.comparisons, key=lambda one: one.difference.low)
            return f"passed: better in all {len(self.comparisons)} comparisons, least {_told(least)}"
        wanted: Verdict = "not better" if self.decision == "refused" else "cannot tell"
        failed = [one for one in self.comparisons if one.verdict == wanted]
        if not failed:
            return f"cannot tell: {self.notes[0]}"
        worst = min(failed, key=lambda one: one.difference.value)
        return f"{self.decision}: {len(failed)} of {len(self.comparisons)} comparisons say so, worst {_told(worst)}"

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "decision": self.decision,
            "sentence": self.sentence,
            "comparisons": [one.to_json() for one in self.comparisons],
            "notes": list(self.notes),
            "splits": list(self.splits),
            "seed": self.seed,
            "rule": {"min_edges": MIN_EDGES, "min_queries": MIN_QUERIES, "level": 0.95},
        }

    def table(self) -> str:
        """The comparisons as lines of text for a terminal, the decision last."""
        head = ("split", "negatives", "against", "ours", "theirs", "difference", "edges", "verdict")
        rows = [
            (
                one.split, one.negatives, one.against, f"{one.ours.value:.3f}", f"{one.theirs.value:.3f}",
                f"{one.difference.value:+.3f} [{one.difference.low:+.3f}, {one.difference.high:+.3f}]",
                f"{one.difference.n:,}", one.verdict,
            )
            for one in self.comparisons
        ]  # fmt: skip
        widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *rows)]
        return "\n".join([*(line.rstrip() for line in lines), *self.notes, self.sentence])


def judge(
    warm: Trial,
    cold: Trial,
    *,
    seed: int,
    categories: NDArray[np.int64] | None = None,
    groups: NDArray[np.int64] | None = None,
    rule: CandidateRule = "any",
) -> GateResult:
    """Compare a learned relation with the unlearned one and the same-category baselines, on what was held out.

    On both splits, with negatives at random and of the true target's category, the learned relation must score
    held-out edges above their negatives more often than each of the others, by more than chance: the whole 95 %
    interval of the paired difference, resampled by source, must lie above 0. Chance is among the others, since an
    unlearned relation can be worse than it: what goes together may look different. What is compared needs no threshold,
    so neither side gains by a shift that is off; the accuracy at P > 0.5 is shown beside it.

    Without categories, or with a single one, "same category" means "any", so the comparisons with negatives at
    random against the unlearned relation and chance decide alone, and a note says so.

    Args:
        warm: Of a warm split.
        cold: Of a cold split of the same edges.
        seed: Of negatives and intervals; the same input gives the same result.
        categories: int64, shape ``(n,)``, -1 for none.
        groups: int64, shape ``(n,)``: near-duplicates share a number, as given to the splits.
        rule: Who may answer. Where it is the same category alone, everybody tells items of other categories
            apart, so negatives at random say nothing and are not drawn; a note says so.

    Raises:
        InputError: The trials are not one of each kind, or are of different data; a score is not finite.
    """
    if (warm.split.kind, cold.split.kind) != ("warm", "cold"):
        raise InputError(
            f"the gate needs a warm and a cold split, in this order; found {warm.split.kind} and {cold.split.kind}"
        )
    if warm.split.data_hash != cold.split.data_hash:
        raise InputError("the two splits are of different data; split the same vectors and edges twice")
    known = np.concatenate([warm.split.train, warm.split.validation, warm.split.test])
    by_category = categories if has_categories(categories, [known]) else None
    inside = by_category is not None and rule == "same category"
    found = [_try(trial, by_category, groups, seed, inside=inside) for trial in (warm, cold)]
    comparisons = tuple(one for made, _ in found for one in made)
    notes = [note for _, missed in found for note in missed]
    verdicts = {one.verdict for one in comparisons}
    decision: Decision = "passed"
    if "not better" in verdicts:
        decision = "refused"
    elif "cannot tell" in verdicts or notes:
        decision = "cannot tell"
    if by_category is None:
        notes.append("the items have no two categories, so negatives at random decide alone")
    if inside:
        notes.append("only items of the same category answer, so negatives of the same category decide alone")
    splits = (warm.split.to_json(), cold.split.to_json())
    return GateResult(decision, comparisons, tuple(notes), splits, seed)


def _try(
    trial: Trial,
    categories: NDArray[np.int64] | None,
    groups: NDArray[np.int64] | None,
    seed: int,
    *,
    inside: bool,
) -> tuple[list[Comparison], list[str]]:
    """All comparisons of one split, and a sentence for each kind of negatives that none could be made with."""
    split = trial.split
    known = np.concatenate([split.train, split.validation, split.test])
    items = np.flatnonzero(split.parts == TEST) if split.kind == "cold" else np.unique(split.train)
    others = [Contender(CHANCE, chance_scorer), trial.unlearned]
    drawn: list[NDArray[np.int64] | None] = [None]
    if categories is not None:
        drawn.append(categories)
        others += [
            Contender(SAME_CATEGORY, same_category_scorer(categories, seed=seed)),
            Contender(SAME_CATEGORY_POPULAR, same_category_scorer(categories, seed=seed, training=split.train)),
        ]
    training = training_links(split.train, known, seed=seed, groups=groups)
    thresholds = [threshold_of(one, training) for one in (trial.learned, *others)]
    comparisons, notes = [], []
    for number, own in enumerate(drawn):
        if inside and own is None:
            continue
        try:
            links = draw_links(split.test, known, items, seed=seed + number, categories=own, groups=groups)
        except InputError as error:
            notes.append(f"{split.kind} split, negatives {'of the same category' if number else 'at random'}: {error}")
            continue
        ours = score_links(trial.learned, links, thresholds[0])
        for other, threshold in zip(others, thresholds[1:], strict=True):
            theirs = score_links(other, links, threshold)
            comparisons.append(_compare(split.kind, links, other.name, ours, theirs, seed))
    return comparisons, notes


def _compare(
    split: Literal["warm", "cold"], links: Links, against: str, ours: LinkScores, theirs: LinkScores, seed: int
) -> Comparison:
    sources = links.positive[:, 0]
    queries = len(np.unique(sources))
    difference = bootstrap(ours.wins - theirs.wins, seed=seed, clusters=sources)
    verdict: Verdict = "better" if difference.low > 0 else "not better"
    if len(sources) < MIN_EDGES or queries < MIN_QUERIES:
        verdict = "cannot tell"
    return Comparison(
        split=split,
        negatives=links.kind,
        against=against,
        ours=bootstrap(ours.wins, seed=seed, clusters=sources),
        theirs=bootstrap(theirs.wins, seed=seed, clusters=sources),
        difference=difference,
        our_accuracy=float(ours.correct.mean()),
        their_accuracy=float(theirs.correct.mean()),
        queries=queries,
        verdict=verdict,
    )


def _told(one: Comparison) -> str:
    few = f" on {one.difference.n} edges of {one.queries} sources" if one.verdict == "cannot tell" else ""
    return (
        f"against {one.against} on the {one.split} split with negatives {_of(one.negatives)}: "
        f"{one.ours.value:.3f} to {one.theirs.value:.3f}{few}"
    )


def _of(kind: NegativeKind) -> str:
    return kind if kind == "at random" else "of the same category"
