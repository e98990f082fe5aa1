"""The flow of a fitted theory: its ridge and evidence at every cutoff, and a coarser model."""

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from wilsonian import RBF, ReducedGPRegressor

X, y = load_diabetes(return_X_y=True)
X, X_test, y, y_test = train_test_split(X, y, random_state=0)
scaler = StandardScaler().fit(X)
X, X_test = scaler.transform(X), scaler.transform(X_test)

model = ReducedGPRegressor(RBF(4.0), ard=False, random_state=0).fit(X, y)
flow = model.flow_
print("Modes integrated out add to the ridge; the data's own ridge is the one of best evidence.")
print("  kept   ridge   data's ridge   evidence   learnability of the next mode")
for k in sorted({1, 2, 5, 10, 20, model.n_modes_, model.rank_}):
    print(
        f"{flow.kept[k]:6.0f}{flow.ridge[k]:8.0f}{flow.evidence_ridge[k]:15.0f}"
        f"{flow.evidence[k]:11.1f}{flow.learnability[k]:14.2f}"
        + ("   <- chosen" if k == model.n_modes_ else "")
    )

coarse = model.coarse_grained(10)  # no second look at the data
prediction = coarse.predict(X_test)
print(f"RMSE: {model.n_modes_} modes {np.sqrt(np.mean((model.predict(X_test) - y_test) ** 2)):.2f}")
print(f"      10 modes {np.sqrt(np.mean((prediction - y_test) ** 2)):.2f}")

# For comparison, the model of ten modes fitted to the data with the same hyperparameters.
refit = ReducedGPRegressor(
    model.kernel_,
    amplitude=model.amplitude_,
    noise_variance=model.noise_variance_
    / np.var(y),  # as a parameter it is in units of the target's variance
    inducing_points=model.prepared_.features.inducing_points,
    cutoff=10,
    optimizer=None,
).fit(X, y)
difference = np.max(np.abs(prediction - refit.predict(X_test)))
print(
    f"10 modes, refitted: RMSE {np.sqrt(np.mean((refit.predict(X_test) - y_test) ** 2)):.2f},",
    end=" ",
)
print(f"ridge {refit.ridge_:.1f} (was {coarse.ridge_:.1f}), predictions within {difference:.1g}")
