"""The information of a PyTorch module's last layer, where PyTorch is installed."""

import importlib.util

import numpy as np

from wilsonian import coarse_grain, information


def main():
    if importlib.util.find_spec("torch") is None:
        print("This example needs PyTorch: pip install 'wilsonian[torch]'.")
        return
    import torch

    random = np.random.default_rng(0)
    X = random.normal(size=(200, 4)).astype("float32")
    y = np.sin(X[:, 0]) + X[:, 1] * X[:, 2] / 2 + 0.1 * random.normal(size=200)
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(4, 64), torch.nn.Tanh(), torch.nn.Linear(64, 1))
    inputs, labels = torch.from_numpy(X), torch.from_numpy(y.astype("float32"))[:, None]
    decay = 1e-3  # beside the mean loss in nats: squared residuals over twice the noise variance
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    for step in range(1000):
        optimizer.param_groups[0]["lr"] = 0.01 * (1 - step / 1000)
        optimizer.zero_grad()
        penalty = sum((w**2).sum() for w in module.parameters())
        loss = ((module(inputs) - labels) ** 2).mean() / (2 * 0.01) + decay / 2 * penalty
        loss.backward()
        optimizer.step()

    net = information.from_torch(
        module.eval(),
        (X, y),
        likelihood="regression",
        noise_variance=0.01,
        weight_decay=decay,
        scope="last-layer",
    )
    spectrum = information.spectrum(net)
    print(f"{net.size} parameters in the last layer, {spectrum.count_above(1.0)} informed")
    small = coarse_grain(spectrum, information.AtCost(0.01))
    mean, deviation = small.predict(X[:3], return_std=True)
    print(f"{small.kept} kept at a predicted cost of {small.predicted_cost:.4f} nats")
    for value, spread, label in zip(mean[:, 0], deviation[:, 0], y, strict=False):
        print(f"{value:.3f} +- {spread:.3f}")
        # For comparison, the label there:
        print(f"{label:.3f}")
    # A module comes back, cut; its last layer is exact.
    with torch.no_grad():
        again = small.model()(inputs[:3]).numpy()
    print("largest difference to the cut module:", f"{np.abs(again - mean).max():.1e}")


main()
