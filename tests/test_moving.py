"""Inducing points that move: Adam's own steps, and a climb that goes back where it fell."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from wilsonian import Matern52
from wilsonian.regression.learning import learners
from wilsonian.regression.learning.diary import Diary
from wilsonian.regression.learning.evidence import Hyperparameters
from wilsonian.regression.learning.moving import (
    ENTRY,
    LEARNING_RATE,
    MEMORY,
    SLOWER,
    SQUARE_MEMORY,
    WINDOW,
    Ascent,
    memory,
    move_inducing_points,
)
from wilsonian.regression.sample import Sample

RANDOM = np.random.default_rng(0)


def ascent(size=3):
    none = np.zeros(size)
    return Ascent(np.ones(size), none, none, np.ones(size), np.empty(0))


def test_a_step_is_adam():
    ours, steps = ascent(), 50
    rate = optax.cosine_decay_schedule(LEARNING_RATE, steps)
    first, second = memory(MEMORY, steps), memory(SQUARE_MEMORY, steps)
    assert (first, second) == pytest.approx((0.6, 0.96))
    optimizer = optax.adam(rate, b1=first, b2=second)
    theirs = jnp.ones(3)
    state = optimizer.init(theirs)
    for slope in RANDOM.normal(size=(5, 3)):
        ours.step(0.0, slope, np.ones(3), steps=steps)
        change, state = optimizer.update(jnp.asarray(slope), state)
        theirs = optax.apply_updates(theirs, change)
    np.testing.assert_allclose(ours.vector, theirs, rtol=1e-5)  # optax runs in float32


def climb(losses):
    """An ascent told these losses, whose vector counts the steps taken."""
    state = ascent(1)
    for step, loss in enumerate(losses):
        state.losses = np.append(state.losses, loss)
        state.vector = np.array([step + 1.0])
        state.settle()
    return state


def test_the_rate_falls_to_zero_over_all_steps():
    state = climb(-np.arange(60.0))
    assert state.rate(60) == pytest.approx(0.0, abs=1e-12)
    assert state.rate(120) == pytest.approx(LEARNING_RATE / 2)


def test_it_goes_back_where_the_evidence_fell():
    falling = [0.0, *np.full(WINDOW - 1, -1.0), *np.full(WINDOW, -2.0), *np.full(WINDOW, -0.5)]
    state = climb(falling)
    assert state.vector == 2 * WINDOW  # the end of the best window
    assert state.speed == pytest.approx(LEARNING_RATE * SLOWER)


def test_moving_raises_the_evidence_and_goes_on_from_a_diary():
    X = RANDOM.uniform(-2, 2, (300, 1))
    y = np.sin(3 * X) + 0.1 * RANDOM.normal(size=X.shape)
    given = Hyperparameters(Matern52(1.0), np.ones(1), np.full(1, 0.1), True, "Given.")
    options = {"rows": 300, "steps": 60, "rows_per_step": 150, "input_dependent": False}
    sample, start = Sample(X, y, np.ones(300)), X[:8]

    def moved(diary):
        random = np.random.default_rng(1)
        return move_inducing_points(given, start, sample, random=random, diary=diary, **options)

    whole = Diary()
    learned, points = moved(whole)
    losses = whole.entries[ENTRY]["losses"]
    assert np.mean(losses[-WINDOW:]) < losses[0] - 0.1
    assert learned.noise_variance < 0.05  # the truth is .01
    # Cut after some steps, as an interruption leaves it.
    cut = Diary()

    def interrupt(diary, now):
        if len(diary.entries[ENTRY]["losses"]) == 17:
            raise KeyboardInterrupt

    cut.keep = interrupt
    with pytest.raises(KeyboardInterrupt):
        moved(cut)
    cut.keep = lambda diary, now: None
    again, same_points = moved(cut)
    np.testing.assert_array_equal(points, same_points)
    assert again.message == learned.message


def test_a_climb_is_left_half_way_where_that_is_asked_for():
    X = RANDOM.uniform(-2, 2, (200, 1))
    sample = Sample(X, np.sin(3 * X), np.ones(200))
    given = Hyperparameters(Matern52(1.0), np.ones(1), np.full(1, 0.1), True, "Given.")
    options = {"rows": 200, "steps": 20, "rows_per_step": 100, "input_dependent": False}
    stood = []

    def moved(answer, diary=None):
        def left(hyperparameters, points):
            stood.append((hyperparameters, points))
            return answer

        random = np.random.default_rng(1)
        return move_inducing_points(
            given, X[:8], sample, random=random, diary=diary, left=left, **options
        )

    diary = Diary()
    learned, points = moved(True, diary)
    (asked, at), *others = stood
    assert not others
    assert len(diary.entries[ENTRY]["losses"]) == 10
    assert "Then 10 Adam steps" in learned.message
    assert asked.message == learned.message
    np.testing.assert_array_equal(points, at)
    assert not np.array_equal(points, X[:8])
    # What was interrupted there asks again, and comes to the same end.
    np.testing.assert_array_equal(moved(True, diary)[1], points)
    whole, end = moved(False)
    np.testing.assert_array_equal(stood[-1][1], points)
    assert "Then 20 Adam steps" in whole.message
    plain = move_inducing_points(given, X[:8], sample, random=np.random.default_rng(1), **options)
    np.testing.assert_array_equal(plain[1], end)


def test_few_of_the_points_go_ahead_and_all_follow(monkeypatch):
    # Steps of an even part of the rows, of about 4,096.
    assert learners.together(128, 8000) == (128, 150, 4000)
    assert learners.together(256, 8000) == (256, 100, 4000)
    assert learners.together(512, 3000) == (512, 40, 3000)
    assert learners.together(512, 8611) == (512, 40, 4305)
    assert learners.together(1000, 36_000) == (512, 220, 4000)
    assert learners.together(512, 10**6) == (512, 300, 4098)
    monkeypatch.setattr(learners, "MOST_MOVED", 8)
    X = RANDOM.uniform(-2, 2, (300, 1))
    sample = Sample(X, np.sin(3 * X), np.ones(300))
    given = Hyperparameters(Matern52(1.0), np.ones(1), np.full(1, 0.1), True, "Given.")
    learner = learners.LearnAll(1.0, 0.1, False, True, False, False, 0, 100)

    def moved(points, climb, diary=None):
        random, diary = np.random.default_rng(1), Diary() if diary is None else diary
        return learner.along(
            given,
            points,
            climb,
            X,
            sample,
            rows=300,
            by_row=False,
            random=random,
            diary=diary,
            progress=lambda *told: None,
        )

    learned, points = moved(X[:8], learners.Climb(4, 30, 300))
    assert "30 Adam steps moved 4 inducing points" in learned.message
    np.testing.assert_array_equal(points[4:], X[4:8])
    assert np.all(points[:4] != X[:4])
    diary = Diary()
    moved(X[:8], learners.Climb(4, 30, 300), diary)
    after, _ = moved(X[:8], learners.Climb(4, 45, 300), diary)
    assert "45 Adam steps" in after.message  # a climb of its own, not the rest of the first
    learned, points = moved(X[:12], learners.Climb(8, 45, 300))
    assert learned.noise_variance < 0.05
    assert np.all(points[:8] != X[:8])
    assert len(points) == 12
    assert np.all(np.isin(points[8:], X))  # chosen anew
    np.testing.assert_array_equal(moved(X[:12], learners.Climb(8, 45, 300))[1], points)
