"""Learning curves before training: the averaged theory, its versions, laws and figures."""

from wilsonian.theory.learning_curves.learning_curve import LearningCurve

__all__ = [
    "LearningCurve",
]
