"""Your own simulator in twenty lines: its parameter, with intervals that hold."""

import numpy as np

from wilsonian import greybox as gb
from wilsonian.greybox import tasks

# Forty damped springs were measured; our physics knows the spring, not the damping.
data = tasks.draw_oscillator(301, 100, 40)


def spring(t, y, z):
    return (y[1], -(z["omega"] ** 2) * y[0])


physics = gb.ODE(spring, {"omega": (0.8, 3.2)}, start=lambda x: (x[0], 0.0), times=data.times)
damping = gb.Feature(lambda t, y, z: (0.0, -y[1]), "damping")
model = gb.SectorModel(physics, [damping], tolerance=0.1).fit(data.signals)
alone = gb.SectorModel(physics, tolerance=0.1).fit(data.signals)

print(gb.compare(data.signals, [model, alone], references=False), "\n")
new = tasks.draw_oscillator(302, 300, 100)
for name, fitted in (("spring alone", alone), ("with damping", model)):
    omega = fitted.infer(new.signals)["omega"]
    low, high = omega.interval(0.9).T
    truth = new.drawn["omega"]  # for comparison: nobody told the model
    print(
        f"{name}: error {np.abs(omega.mean - truth).mean():.4f}, "
        f"90% intervals hold {np.mean((low < truth) & (truth < high)):.0%}"
    )
found = model.residual_["damping"]
print(f"\ndamping found: {found['mean'][0]:.3f} ± {found['sd'][0]:.3f}; {omega.sentence}")
print(f"in these forty: {data.drawn['beta'].mean():.3f} ± {data.drawn['beta'].std():.3f}")
