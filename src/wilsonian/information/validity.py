"""When a predicted price holds: thresholds, stated once, and sentences about what does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special

from wilsonian.information.likelihoods import Softmax

# Judgement, made on the networks of docs/science/information.md, sections 5 and 9: a price is
# believed within half of itself, and only while it is small enough for a quadratic law.
RELATIVE = 0.5
LARGEST_COST = 0.1  # nats per example
FAR_FROM_MINIMUM = 0.3  # |g + z| / |z|
SATURATED = 0.03  # mean probability of all classes but the likeliest
FEW_EXAMPLES = 10  # support of a mode that is one outlier's memory


def is_valid(predicted: Any, measured: Any, standard_error: float) -> np.ndarray:
    r"""Where :math:`|measured - predicted| \le \max(\frac12 |predicted|, s.e.)` with the standard
    error of the mean loss, and the prediction is below 0.1 nats per example."""
    predicted, measured = np.asarray(predicted), np.asarray(measured)
    allowed = np.maximum(RELATIVE * np.abs(predicted), standard_error)
    with np.errstate(invalid="ignore"):
        return (np.abs(measured - predicted) <= allowed) & (predicted < LARGEST_COST)


def diagnostics(spectrum: Any) -> tuple[str, ...]:
    """Why the numbers of a spectrum may mislead, in sentences; empty if nothing speaks against."""
    network, found = spectrum.network, []
    if spectrum.stationarity > FAR_FROM_MINIMUM:
        found.append(
            "The parameters are not at the minimum of the loss with this prior: gradient and prior "
            f"differ by {spectrum.stationarity:.2g} of the parameters' size. Prices use the "
            "gradient as measured; uncertainties belong to the minimum."
        )
    if isinstance(network.likelihood, Softmax):
        probabilities = scipy.special.softmax(np.asarray(network.outputs), axis=1)
        sure = 1 - float(np.mean(np.max(probabilities, axis=1)))
        if sure < SATURATED and spectrum.stationarity > FAR_FROM_MINIMUM:
            found.append(
                f"The classifier is saturated (all but the likeliest class have {sure:.2g} of the "
                "probability on average), where curvature vanishes: the count of informed "
                "directions says little about what may be removed. Train with weight decay."
            )
    if spectrum.count_above(1.0) == 0:
        found.append(
            "No direction has more information than its prior: the data determined nothing, or "
            "the prior is too narrow."
        )
    if spectrum.unresolved > 0:
        smallest = float(spectrum.information[-2]) if len(spectrum.information) > 1 else np.inf
        found.append(
            f"Only modes down to k = {smallest:.3g} were computed; {spectrum.unresolved:.3g} of "
            "information lie below, and all cutoffs remove them. See counts(network)."
        )
    return tuple(found)
