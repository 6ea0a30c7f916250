"""Minimising in rounds: L-BFGS on one batch after another, stopped when held-out links stop gaining."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Parameters: TypeAlias = NDArray[np.float64]
Objective: TypeAlias = Callable[[Parameters], tuple[float, Parameters]]

ROUNDS = 8
"""Batches at most; each has its own negatives."""

STEPS = 25
"""L-BFGS iterations on one batch: enough to use its curvature, few enough not to learn its negatives by heart."""

GAIN = 0.005
"""Relative gain on the held-out links under which a round counts as none; two such rounds end the fit."""


def minimise_in_rounds(
    start: Parameters,
    next_objective: Callable[[], Objective],
    judge: Callable[[Parameters], float],
    *,
    bounds: Sequence[tuple[float | None, float | None]] | None = None,
) -> tuple[Parameters, float, int]:
    """Minimise a loss whose negatives are drawn anew each round.

    L-BFGS is that of Byrd, Lu, Nocedal & Zhu (SIAM J. Sci. Comput. 1995), in scipy; McAuley et al. (SIGIR
    2015, section 3) fit their model by it. One thread is used: L-BFGS consists of many short vector operations,
    in each of which several threads would wait for each other; and results do not depend on their number.

    Args:
        start: Where to begin, float64, shape ``(p,)``.
        next_objective: Gives the loss and gradient on the next batch.
        judge: Loss on the validation links, lower is better.
        bounds: Smallest and largest value of each parameter; ``None`` for none.

    Returns:
        The parameters that were best on the validation, their validation loss, and how many rounds were run.
    """
    from scipy.optimize import minimize
    from threadpoolctl import threadpool_limits

    point = best = start
    lowest, idle, run = judge(start), 0, 0
    with threadpool_limits(1):
        while run < ROUNDS and idle < 2:
            run += 1
            point = minimize(
                next_objective(), point, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": STEPS}
            ).x
            loss = judge(point)
            idle = idle + 1 if loss > lowest * (1 - GAIN) else 0
            if loss < lowest:
                best, lowest = point, loss
    return best, lowest, run
