"""For a learner: what does a blurred picture still say about the sharp one, mode by mode?"""

import jax
import numpy as np

from wilsonian import fields

theory = fields.FreeField((16, 16), mass_squared=0.25)
channel = fields.Channel("carosso", theory.shape)

print("time  nats in all  modes still determined")
for time in (0.05, 0.3, 1.0, 3.0):
    kernel = channel.kernel(0, time)
    nats = kernel.nats(theory.spectrum())
    print(f"{time:4g}  {nats:11.2f}  {kernel.resolved_modes(theory.spectrum()):6d}")

# A mode that is known is a kernel's mode that is learned: eigenvalue C, one sample, ridge tau.
kernel = channel.kernel(0, 0.3)
tau, spectrum = kernel.bayesian_time(), theory.spectrum()
learned = (spectrum / (spectrum + tau)).sum()
freedom = kernel.degrees_of_freedom(spectrum)
print(f"sum of learnabilities {learned:.4f}, degrees of freedom {freedom:.4f}")

# The law of blurred fields, measured and exact.
data = theory.hmc(2048, jax.random.key(0), chains=128, thermalization=60)
blurred = channel.flow(data.fields, [0.3], jax.random.key(1))[0]
measured = fields.power_spectrum(np.asarray(blurred), theory.shape)
exact = channel.two_point(0.3, spectrum)
print(f"mean of the blurred spectrum: measured {measured.mean():.4f}, exact {exact.mean():.4f}")
