"""Joint angles over a gait cycle: what a pendulum of the leg explains, and what it does not.

Pass a file with `angles` (cycles, 3, 101) in rad, as `locomotion.npz` of the benchmarks, to use
measured cycles; without one, synthetic cycles with the same shape stand in.
"""

import sys
import warnings

import numpy as np

from wilsonian import greybox as gb
from wilsonian.greybox.baselines import mean_signal, principal_components

if len(sys.argv) > 1:
    hip = np.load(sys.argv[1])["angles"][:60, 0, ::4].astype(float)
else:
    random, phase = np.random.default_rng(0), np.linspace(0, 2 * np.pi, 26)
    swing = random.normal(0.45, 0.05, (60, 1)) * np.cos(phase + random.normal(0, 0.05, (60, 1)))
    push = random.normal(0.08, 0.02, (60, 1)) * np.cos(2 * phase + 0.8)
    hip = swing + push + 0.1 + random.normal(0, 0.005, (60, 26))
times = np.linspace(0, 1, hip.shape[1])  # fraction of the cycle
train, test = hip[:40], hip[40:]


def leg(t, y, z):
    """A driven pendulum about its resting angle, at the rhythm of the steps."""
    return (y[1], -(z["omega"] ** 2) * (y[0] - z["rest"]))


bounds = {"omega": (4.0, 9.0), "rest": (-0.3, 0.5)}
start = lambda x: (x[0], (x[1] - x[0]) / times[1])  # noqa: E731
physics = gb.ODE(leg, bounds, start, times)
muscles = gb.SectorModel(physics, [gb.Force(8, spectrum="tied")], max_steps=15, tolerance=0.1)
alone = gb.SectorModel(physics, max_steps=15, tolerance=0.1)
compared = gb.compare(train, [muscles, alone], references=False)
print(compared, "\n")
model = next(c.model for c in compared.candidates if c.name == "force")
with warnings.catch_warnings():
    warnings.simplefilter("ignore", gb.ConfoundedWarning)  # said below, in words
    result = model.infer(test)
for name in result:
    print(f"{name}: {result[name].mean.mean():.2f}, sd {result[name].sd.mean():.2f}")
    print("  " + result[name].sentence)
off = np.mean(np.sum((result.fitted[:, 0] - test) ** 2, axis=1))
print(f"\nsquared error per cycle: physics and force {off:.4f}; for comparison, ", end="")
print(f"mean cycle {mean_signal(train, test):.4f}, two components ", end="")
print(f"{principal_components(train, test, [2])[2]:.4f}")
