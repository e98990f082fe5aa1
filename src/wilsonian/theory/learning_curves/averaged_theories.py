"""The averaged theories of the paper side by side, and the flow of the ridge in three versions."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from wilsonian.core.coarse_graining import coarse_grain
from wilsonian.core.cutoffs import LearnabilityCutoff
from wilsonian.core.ridges import DressedRidge
from wilsonian.core.spectrum import Spectrum
from wilsonian.theory.averaged import AveragedTheory
from wilsonian.theory.learning_curves.binned_spectrum import check_eigenvalues
from wilsonian.theory.learning_curves.deterministic_equivalent import Values


class TheoryComparison(eqx.Module):
    r"""Mean squared error on the noiseless whole target by each theory; arrays over thresholds.

    With :math:`L_k(r) = n \lambda_k / (n \lambda_k + r)`, cutoff :math:`\kappa`, renormalized ridge
    :math:`\sigma_c^2` and label noise :math:`s` from the eliminated target
    (docs/science/wilsonian.md, section 4; arXiv:2405.06008).
    """

    thresholds: Float[Values, " thresholds"]
    kept: Float[Values, " thresholds"]  # kappa
    ridge: Float[Values, " thresholds"]  # sigma_c^2
    label_noise: Float[Values, " thresholds"]  # that of the labels and s
    # EK: sum of (1 - L_k)^2 y_k^2, at the bare ridge and at the effective one.
    equivalent_kernel: Float[Values, ""]
    dressed_equivalent_kernel: Float[Values, ""]
    # RG0: EK of the kept modes at sigma_c^2, and s.
    first_order: Float[Values, " thresholds"]
    # RG2: the deterministic equivalent of the kept modes at sigma_c^2 with label noise s, and s.
    second_order: Float[Values, " thresholds"]
    # RG2 where eliminated modes are estimated, too, from the residual of the reduced theory.
    residual_correction: Float[Values, " thresholds"]
    # DE: all modes integrated out self-consistently.
    deterministic_equivalent: Float[Values, ""]


class RidgeFlow(eqx.Module):
    """The ridge as modes are integrated out from the least upward; arrays over `kept`."""

    kept: Num[Values, " cutoffs"]
    bare: Float[Values, " cutoffs"]  # F0, first order: the paper's
    dressed: Float[Values, " cutoffs"]  # F1
    exact: Float[Values, " cutoffs"]  # F2


def compare_theories(theory: AveragedTheory, thresholds: Any) -> TheoryComparison:
    """Errors by every averaged theory, with modes integrated out below each of the learnability
    `thresholds` (see :class:`LearnabilityCutoff`). NumPy arrays in double precision.

    Raises ValueError unless thresholds lie between 0 and 1.
    """
    cuts = np.atleast_1d(np.asarray(thresholds, float))
    if not np.all((cuts > 0) & (cuts < 1)):
        raise ValueError(f"`thresholds` must lie between 0 and 1, got {thresholds}; try 0.2.")
    with jax.enable_x64(True):
        theory = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), theory)
        return jax.tree.map(np.asarray, _compare(theory, jnp.asarray(cuts)))


def ridge_flow(eigenvalues: Any, ridge: float | int, n: float | int, kept: Any) -> RidgeFlow:
    r"""The renormalized ridge with the first `kept` modes left, from `eigenvalues` (modes,),
    descending, at a bare `ridge` and `n` samples, by the three flows of docs/science/wilsonian.md,
    section 4 (:math:`\mathcal L = n \lambda / (\sigma^2 + n \lambda)` at the running ridge):

    - bare: :math:`-d\sigma^2 / d\kappa = \lambda_\kappa`, the sum of what is lost;
    - dressed: :math:`-d\sigma^2 / d\kappa = (\sigma^2 / n) \mathcal L_\kappa`, mode by mode;
    - exact: the same over :math:`1 - \gamma_>`, :math:`\gamma_> = \sum_{q > \kappa} \mathcal L_q^2
      / n`, whose solution is that of a self-consistent equation (:class:`DressedRidge`).

    At no mode kept the exact flow ends in the effective ridge :math:`n \kappa_{DE}`.

    Raises ValueError when eigenvalues are not those of a kernel, the ridge or n is not positive, or
    `kept` is not between zero and their number.
    """
    values = check_eigenvalues(eigenvalues)
    ranks = np.atleast_1d(np.asarray(kept))
    if not (0 < ridge < np.inf and 0 < n < np.inf):
        raise ValueError(f"`ridge` and `n` must be positive and finite, got {ridge} and {n}.")
    if ranks.dtype.kind not in "iu" or ranks.min() < 0 or ranks.max() > len(values):
        raise ValueError(
            f"`kept` must be whole numbers from 0 to the number of modes, {len(values)}, "
            f"got {kept}."
        )
    with jax.enable_x64(True):
        flows = _ridge_flows(jnp.asarray(values), float(ridge), float(n), jnp.asarray(ranks))
        return RidgeFlow(ranks, *(np.asarray(flow) for flow in flows))


def read_out_error(theory: AveragedTheory, reduced: AveragedTheory) -> Float[Array, ""]:
    r"""Error on the whole target when eliminated modes are estimated to leading order, :math:`\bar
    f_q = \lambda_q \sum_i \phi_q(x_i) \alpha_i` with :math:`\alpha = (K_< + \sigma_c^2)^{-1} y`
    (docs/science/wilsonian.md, section 3; :meth:`PointTheory.coefficients`).

    Of :math:`\alpha` the averages are known, :math:`\langle \sum_i \phi_q \alpha_i \rangle = y_q n
    / r` and :math:`\langle |\alpha|^2 \rangle = n E / r^2`, with :math:`r` the effective ridge of
    the reduced theory and :math:`E` the error it makes on a new label; so mode q is left with
    :math:`(1 - n \lambda_q / r)^2 y_q^2 + (n \lambda_q / r)^2 E / n`.
    """
    effective = reduced.effective_ridge()
    kept = reduced.test_error(effective)
    share = theory.n_samples * theory.eigenvalues / effective
    lost = theory.weights - reduced.weights
    variance = share**2 * (kept + reduced.label_noise) / theory.n_samples
    remaining = (1 - share) ** 2 * theory.target_power + theory.multiplicity * variance
    return kept + jnp.sum(lost * remaining)


@jax.jit
def _compare(theory, thresholds):
    def reduce(threshold):
        cutoff = LearnabilityCutoff(threshold, theory.ridge, theory.n_samples)
        reduced = coarse_grain(theory, cutoff)
        never_learned = reduced.label_noise - theory.label_noise
        return (
            jnp.sum(reduced.weights),
            reduced.ridge,
            reduced.label_noise,
            reduced.kernel_error() + never_learned,
            reduced.test_error() + never_learned,
            read_out_error(theory, reduced),
        )

    kept, ridge, noise_variance, first, second, residual_correction = jax.vmap(reduce)(thresholds)
    effective = theory.effective_ridge()
    return TheoryComparison(
        thresholds,
        kept,
        ridge,
        noise_variance,
        theory.kernel_error(),
        theory.bias(effective),
        first,
        second,
        residual_correction,
        theory.test_error(effective),
    )


@jax.jit
def _ridge_flows(eigenvalues, ridge, n, ranks):
    upward = eigenvalues[::-1]
    bare = ridge + jnp.concatenate([jnp.zeros(1), jnp.cumsum(upward)])

    def step(running, eigenvalue):
        running = running + eigenvalue / (1 + n * eigenvalue / running)
        return running, running

    dressed = jnp.concatenate([jnp.full(1, ridge), jax.lax.scan(step, ridge, upward)[1]])

    def self_consistent(rank):
        lost = Spectrum.averaged(eigenvalues).weighted(1.0 * (jnp.arange(len(upward)) >= rank))
        return DressedRidge(ridge, n).absorb(lost).mean()

    lost = len(upward) - ranks
    return bare[lost], dressed[lost], jax.lax.map(self_consistent, ranks)
