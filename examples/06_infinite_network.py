"""A convolutional network in the infinite limit: kernels beside finite ones, digits learned."""

import jax
import numpy as np
from sklearn.datasets import load_digits
from sklearn.svm import SVC

from wilsonian import ArcCosine, ReducedGPClassifier
from wilsonian import networks as nn
from wilsonian.kernels import SklearnKernel

WIDTH, DRAWS = 32, 40


def network(width):
    """Two convolutions with a residual connection, and the mean over positions."""
    convolution = nn.Conv(width, (3, 3), weight_variance=2.0, bias_variance=0.1)
    return nn.serial(
        convolution,
        nn.residual(nn.Relu(), convolution),
        nn.Relu(),
        nn.Flatten(),
        nn.Dense(1, weight_variance=2.0),
    )


X, y = load_digits(return_X_y=True)
X = X.reshape(-1, 8, 8, 1) / 8 - 0.6
pair = X[:2]
nngp, ntk = nn.nngp_and_ntk(network(WIDTH), pair)


@jax.jit
def finite_kernels(key, width=WIDTH):
    """Of one finite network: covariance given its last features, and product of gradients."""
    net = network(width)
    params = net.init(key, pair.shape[1:])
    slopes = jax.jacobian(lambda params: net.apply(params, pair)[:, 0])(params)
    residual_correction, *others = [slope.reshape(2, -1) for slope in jax.tree.leaves(slopes)][::-1]
    products = [slope @ slope.T for slope in (residual_correction, *others)]
    return products[0][0, 1], sum(products)[0, 1]


measured = jax.lax.map(finite_kernels, jax.random.split(jax.random.key(0), DRAWS))
for name, exact, found in zip(("NNGP", "NTK"), (nngp, ntk), measured, strict=True):
    error = found.std() / DRAWS**0.5
    print(f"{name:4s} k(x, z) = {exact[0, 1]:.3f}; ", end="")
    print(f"networks of width {WIDTH}: {found.mean():.3f} +- {error:.3f}")

rows = X.reshape(len(X), -1)
train, test = np.arange(250), np.arange(250, 500)
convolutional = nn.nngp(network(WIDTH), input_shape=(8, 8, 1))
for name, kernel in (("convolutional", convolutional), ("fully connected", ArcCosine(depth=2))):
    model = ReducedGPClassifier(kernel, learn="scale", rank=120, random_state=0)
    score = model.fit(rows[train], y[train]).score(rows[test], y[test])
    print(f"{name:15s} NNGP, {model.n_modes_:3d} modes, digits read correctly: {score:.1%}")
# For comparison, a support vector machine with the same infinite network, in scikit-learn.
machine = SVC(kernel=SklearnKernel(convolutional), C=10).fit(rows[train], y[train])
score = machine.score(rows[test], y[test])
print(f"the same in an SVC,              digits read correctly: {score:.1%}")
