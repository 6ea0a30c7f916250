"""The sphere that behaviour vectors lie on: known items where people put them, new ones where content predicts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.engine.spaces import unit_rows
from index.types import Vectors


@dataclass(frozen=True, slots=True)
class Sphere:
    """What a head fitted to behaviour vectors does beyond its linear map: an item stands at r·u/‖u‖.

    For a new item u = (x − m)B, what its content x predicts; for one that people have used, u is its own behaviour
    vector less the mean of all, with a little of the prediction (``index.learning.fitting.regression``), and the
    database keeps where it stands.

    Behaviour vectors are compared by cosine: their lengths tell how often an item was used, not what it goes with.
    Least squares predicts towards the mean, so predictions are shorter and lie closer together than what they stand
    for; by distance they would be near to everything, and crowd known items out of their own neighbourhoods. B is
    therefore scaled so that each dimension of a prediction varies as much as it does among behaviour vectors
    (``index.learning.regression.calibrate``), m takes both to the same middle, and both are brought to one length.
    That last step is not linear, so it is done when rows are laid out and not when they are asked: with all places on
    one sphere, the squared distance is 2r²(1 − cosine), and rows, cells and questions stay those of every head.
    r² is how much the log-odds of a link fall with the squared distance of unit vectors, as Platt (1999) fits a
    sigmoid to scores.

    Attributes:
        mean: m, the content of items with known behaviour on average, float32, shape ``(d,)``.
        radius: r, above 0.
    """

    mean: NDArray[np.float32]
    radius: float

    def on(self, points: Vectors) -> Vectors:
        """Points moved on to the sphere: float32, shape ``(n, K)``; one at the middle stays there."""
        moved: Vectors = np.float32(self.radius) * unit_rows(points)
        return moved
