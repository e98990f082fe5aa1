"""The methods compared: `method(rank, seed, quick) -> fit`, then `fit(X, y) -> (predict, notes)`.

`predict(X)` gives the mean and the standard deviation of a new label, noise included; `notes` is a
record of what was learned, and under "variants" may hold other predictions from the same fit.
Libraries are imported by the outer call, which is not timed.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

Predict = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
Fit = Callable[[np.ndarray, np.ndarray], tuple[Predict, dict[str, Any]]]


def wilsonian(rank: int, seed: int, quick: bool, *, exact: bool = False) -> Fit:
    """This library: Matern 5/2, all else default, as many inducing points as the cutoff rule asks
    for, at most `rank`; with `exact` the eliminated modes are read out of all rows."""
    from wilsonian import Matern52, ReducedGPRegressor

    def fit(X, y):
        model = ReducedGPRegressor(Matern52(), max_rank=rank, exact=exact, random_state=seed)
        model.fit(X, y)
        notes = {
            "noise": float(np.mean(model.noise_variance_)),
            "ridge": float(np.mean(model.ridge_)),
            "modes": int(model.n_modes_),
            "convergence": model.convergence_,
        }
        if exact:
            notes["correction"] = model.correction_.sentence()
            reduced = copy.copy(model)
            reduced.correction_ = None
            notes["variants"] = {
                "kept modes alone": lambda X: reduced.predict(
                    X, return_std=True, include_noise=True
                )
            }
        return lambda X: model.predict(X, return_std=True, include_noise=True), notes

    return fit


def sgpr(rank: int, seed: int, quick: bool, *, steps: int = 150, inducing: str = "random") -> Fit:
    """GPyTorch's SGPR (Titsias 2009): Matern 5/2 with ARD, constant mean, learned inducing points.

    The choices are those that helped it, tried on these sets (figures in benchmarks/README.md):
    length scales start at sqrt(d), the typical distance of standardized rows, since from the
    default 0.69 it ends far from the optimum; Adam at 0.1 dropping to 0.01 and 0.001; float32 while
    training, where float64 gives the same loss and takes half as long again, but float64 to
    condition and predict, where float32 fails at low noise (energy: RMSE 0.03 becomes 0.2);
    `sgpr_diagonal_correction` off, which gives Titsias's mean and a variance without the prior's
    part outside the inducing points, k(x, x) - q(x, x): of three variances the best NLPD on five of
    the seven sets. The others, Titsias's own and GPyTorch's default, are reported as variants.
    """
    import gpytorch
    import torch
    from gpytorch.constraints import GreaterThan
    from sklearn.cluster import MiniBatchKMeans

    steps = 20 if quick else steps

    class Model(gpytorch.models.ExactGP):
        def __init__(self, X, y, likelihood, inducing_points):
            super().__init__(X, y, likelihood)
            matern = gpytorch.kernels.MaternKernel(nu=2.5, ard_num_dims=X.shape[1])
            matern.lengthscale = math.sqrt(X.shape[1])
            scaled = gpytorch.kernels.ScaleKernel(matern)
            scaled.outputscale = 1.0
            self.mean_module = gpytorch.means.ConstantMean()
            self.covar_module = gpytorch.kernels.InducingPointKernel(
                scaled, inducing_points=inducing_points, likelihood=likelihood
            )

        def forward(self, X):
            return gpytorch.distributions.MultivariateNormal(
                self.mean_module(X), self.covar_module(X)
            )

    def build(X, y, points, dtype):
        tensors = [torch.as_tensor(array, dtype=dtype) for array in (X, y, points)]
        # The default floor, 1e-4, is lowered so that it can bind nowhere.
        likelihood = gpytorch.likelihoods.GaussianLikelihood(noise_constraint=GreaterThan(1e-6))
        likelihood.noise = 0.1
        return Model(*tensors[:2], likelihood, tensors[2]).to(dtype), *tensors[:2]

    def train(model, X, y):
        model.train()
        bound = gpytorch.mlls.ExactMarginalLogLikelihood(model.likelihood, model)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        drops = [steps * 2 // 3, steps * 5 // 6]
        schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, drops, gamma=0.1)
        losses = []
        for _ in range(steps):
            optimizer.zero_grad()
            loss = -bound(model(X), y)
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        return losses

    def fit(X, y):
        torch.manual_seed(seed)
        if inducing == "k-means":
            clusters = MiniBatchKMeans(rank, n_init=1, random_state=seed).fit(X)
            points = clusters.cluster_centers_
        else:
            points = X[torch.randperm(len(X))[:rank].numpy()]
        trained, *rows = build(X, y, points, torch.float32)
        losses = train(trained, *rows)
        model, *rows = build(X, y, points, torch.float64)
        model.load_state_dict(trained.state_dict())
        model.eval()

        def label(X, correction):
            with torch.no_grad(), gpytorch.settings.sgpr_diagonal_correction(correction):
                given = model.likelihood(model(torch.as_tensor(X)))
                return given.mean.numpy(), given.variance.numpy()

        def predict(X):
            mean, variance = label(X, False)
            return mean, np.sqrt(variance)

        def titsias(X):
            mean, variance = label(X, False)
            X = torch.as_tensor(X)
            with torch.no_grad(), gpytorch.settings.sgpr_diagonal_correction(False):
                inside = model.covar_module(X, X).diagonal(dim1=-1, dim2=-2)
                outside = (scaled(X, diag=True) - inside).clamp(min=0)
            return mean, np.sqrt(variance + outside.numpy())

        def corrected(X):
            model.train().eval()  # drops the caches of the uncorrected posterior
            mean, variance = label(X, True)
            return mean, np.sqrt(variance)

        scaled = model.covar_module.base_kernel
        predict(X[:2])  # fills the caches of the posterior, which belong to the fit
        notes = {
            "noise": model.likelihood.noise.item(),
            "outputscale": scaled.outputscale.item(),
            "lengthscale": scaled.base_kernel.lengthscale.flatten().tolist(),
            "losses": losses,
            "variants": {"Titsias": titsias, "GPyTorch default": corrected},
        }
        return predict, notes

    return fit


def nystroem(rank: int, seed: int, quick: bool) -> Fit:
    """scikit-learn's Nystroem features of an RBF kernel, then RidgeCV.

    gamma is the best of nine around 1/d by RidgeCV's leave-one-out error on at most 10,000 rows.
    The predictive variance is the leave-one-out mean squared error of the final fit: one number.
    """
    from sklearn.kernel_approximation import Nystroem
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline

    def pipeline(gamma):
        features = Nystroem(gamma=gamma, n_components=rank, random_state=seed)
        return make_pipeline(features, RidgeCV(alphas=np.logspace(-8, 2, 21)))

    def fit(X, y):
        chosen = np.random.default_rng(seed).permutation(len(X))[:10_000]
        gammas = 2.0 ** np.arange(-6, 3) / X.shape[1]
        scores = [pipeline(gamma).fit(X[chosen], y[chosen])[-1].best_score_ for gamma in gammas]
        gamma = gammas[np.argmax(scores)]
        model = pipeline(gamma).fit(X, y)
        std = math.sqrt(-model[-1].best_score_)
        notes = {"noise": std**2, "gamma * d": gamma * X.shape[1], "alpha": float(model[-1].alpha_)}
        return lambda X: (model.predict(X), np.full(len(X), std)), notes

    return fit


def boosting(rank: int, seed: int, quick: bool) -> Fit:
    """scikit-learn's histogram gradient boosting: up to 2,000 trees of 127 leaves, rate 0.05,
    stopped when a tenth of the rows, held out, has not improved for 20 trees; the error there is
    the predictive standard deviation, one number."""
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.model_selection import train_test_split

    def fit(X, y):
        X, held_X, y, held_y = train_test_split(X, y, test_size=0.1, random_state=seed)
        model = HistGradientBoostingRegressor(
            max_iter=50 if quick else 2000,
            max_leaf_nodes=127,
            learning_rate=0.05,
            early_stopping=True,
            n_iter_no_change=20,
            random_state=seed,
        ).fit(X, y, X_val=held_X, y_val=held_y)
        std = float(np.sqrt(np.mean((held_y - model.predict(held_X)) ** 2)))
        notes = {"noise": std**2, "trees": int(model.n_iter_)}
        return lambda X: (model.predict(X), np.full(len(X), std)), notes

    return fit


def exact_gpr(rank: int, seed: int, quick: bool) -> Fit:
    """scikit-learn's exact Gaussian process: Matern 5/2 with one length scale per column, amplitude
    and noise by evidence from one start. Cubic in the rows: for the small sets."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    def fit(X, y):
        if len(X) > 2000:
            raise ValueError(f"exact regression of {len(X)} rows takes hours; at most 2,000.")
        scales = np.full(X.shape[1], math.sqrt(X.shape[1]))
        matern = Matern(scales, (1e-3, 1e4), nu=2.5)
        kernel = ConstantKernel(1.0, (1e-4, 1e5)) * matern + WhiteKernel(0.01, (1e-8, 10.0))
        model = GaussianProcessRegressor(kernel, alpha=1e-10, random_state=seed).fit(X, y)
        notes = {"noise": float(model.kernel_.k2.noise_level), "kernel": str(model.kernel_)}
        return lambda X: model.predict(X, return_std=True), notes

    return fit


METHODS = {
    "wilsonian": wilsonian,
    "wilsonian-exact": functools.partial(wilsonian, exact=True),
    "sgpr": sgpr,
    "sgpr-300": functools.partial(sgpr, steps=300),
    "sgpr-kmeans": functools.partial(sgpr, inducing="k-means"),
    "nystroem": nystroem,
    "boosting": boosting,
    "exact-gpr": exact_gpr,
}
