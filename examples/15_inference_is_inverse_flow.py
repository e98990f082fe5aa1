"""For a statistician: Bayes' theorem as the inverse of a coarse graining flow, on one page."""

import numpy as np

from wilsonian import fields

# Forwards: a channel blurs a law. The amount of data about the start is M^2 / Sigma.
law = fields.double_well()
flow = fields.ScalarFlow(law)
multiplier, variance = flow.channel(0.5)
print(f"after t = 0.5 the blurred value is worth {multiplier**2 / variance:.3f} data")

# Backwards: the slope of the coarse action is a posterior mean (Tweedie), either way round.
at = np.array([0.3, 1.1])
mean, _ = law.posterior(at, multiplier, variance)
print("score by the posterior mean: ", (multiplier * mean - at) / variance)
print("score by the posterior score:", law.target_score(at, multiplier, variance))

# Information is lost at half the error that is left.
ahead, back = law.information(1.001)[0], law.information(0.999)[0]
print(f"dI/dT {(ahead - back) / 0.002:.6f}  half the error {law.information(1.0)[1] / 2:.6f}")

# Inference run forward without knowing the truth draws the law itself.
draws = fields.localise(fields.double_well(count=301), np.geomspace(1e-3, 400, 100), 20_000, seed=0)
print(f"second moment by localisation {(draws**2).mean() - 1 / 400:.4f}, exact {law.moment(2):.4f}")

# Erasing data carries the posterior back to the prior.
coin = fields.GaussianInference(np.zeros(1), np.eye(1), 4 * np.eye(1), np.ones(1))
mean, covariance = fields.Erasure(coin).moments(start=25.0)
print(f"erased: mean {mean[0]:.1e} and variance {covariance[0, 0]:.6f}; the prior's: 0 and 1")
