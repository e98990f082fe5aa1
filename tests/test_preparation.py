"""How many inducing points a fit takes."""

import dataclasses

import jax
import numpy as np

from wilsonian import Matern52, ReducedGPRegressor
from wilsonian.regression import preparation
from wilsonian.regression.learning.diary import Diary
from wilsonian.regression.learning.evidence import Hyperparameters
from wilsonian.regression.learning.learners import LearnAll
from wilsonian.regression.plan import Plan
from wilsonian.regression.sample import Sample


class Sharpening(LearnAll):
    """Finds a smooth kernel first, and a rougher one while inducing points move."""

    def before(self, kernel, *rest):
        return Hyperparameters(Matern52(3.0), np.ones(1), np.full(1, 1e-2), True, "Smooth.")

    def along(self, found, points, climb, *rest, left, **more):
        seen.append((climb.points, len(points)))
        rough = dataclasses.replace(found, kernel=with_scale(found.kernel, 0.05))
        asked.append((len(points), left and (left(found, points), left(rough, points))))
        return rough, points


def with_scale(kernel, scale):
    return dataclasses.replace(kernel, length_scale=scale)


seen: list[tuple[int, int]] = []
# Whether a climb of so many is left half-way for the kernel it began with, and for a rougher one.
asked: list[tuple[int, tuple[bool, bool] | None]] = []


def test_the_cutoff_rule_is_asked_again_of_the_kernel_that_was_learned():
    random = np.random.default_rng(0)
    X = random.uniform(-3, 3, (3000, 1))
    sample = Sample(X, np.sin(20 * X), np.ones(3000))
    learner = Sharpening(1.0, 1e-2, False, True, False, False, 0, 10)

    def prepared(max_rank):
        seen.clear()
        asked.clear()
        estimator = ReducedGPRegressor(max_rank=max_rank)
        plan = dataclasses.replace(Plan.of(estimator.get_params(), 1), learner=learner)
        with jax.enable_x64(True):
            return preparation.prepare(
                Matern52(), sample, np.ones(3000), 3000, plan, random, Diary()
            )

    found = prepared(1000)
    # 64 climb; the kernel found there asks for more, of whom some go ahead.
    assert seen[0] == (64, 64)
    assert seen[1][0] == 256 <= seen[1][1]
    assert [points for _, points in seen] == sorted(points for _, points in seen)
    assert found.features.rank > 64
    # Few points may be left half-way, where all their modes are kept.
    assert asked[0] == (64, (False, True))
    assert all(answer is None for points, answer in asked if points >= 256)
    # More than MOST_MOVED do not climb again.
    assert [climb for climb, _ in seen].count(512) <= 1
    assert "meet the cutoff rule" in found.rank_status
    assert prepared(100).features.rank == 100
    assert asked[-1] == (100, None)  # no more are to be had
    assert "100 inducing points are the budget" in prepared(100).rank_status
