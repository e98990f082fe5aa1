"""Inverse flows from nothing, beside hybrid Monte Carlo: ESS, log Z, cost per independent field.

    python benchmarks/fields_flow.py decimation 8 0.21 [fields of HMC] [draws]
    python benchmarks/fields_flow.py diffusion 16 0.27
    python benchmarks/fields_flow.py points          # points of the normalizing-flow papers
    python benchmarks/fields_flow.py refine 16 0.27  # coarse fields of HMC at spacing 2
    python benchmarks/fields_flow.py hmc 16 0.27     # observables with errors
    python benchmarks/fields_flow.py memory 128      # HMC of a large lattice

Times are CPU seconds of the whole process, compilation included.
"""

from __future__ import annotations

import resource
import sys
import time

import jax
import numpy as np

from wilsonian import fields
from wilsonian.fields.observables import per_field

LAM = 0.022


def train(theory: fields.Phi4, count: int):
    start = time.process_time()
    data = theory.hmc(count, jax.random.key(0), chains=128, thermalization=300)
    return data, time.process_time() - start


def hmc_line(data, seconds: float) -> str:
    tau = data.magnetization_autocorrelation()
    each = 1e3 * seconds * max(tau.time, 1) / len(data)
    judged = fields.thermalisation(data)
    return (
        f"HMC: {len(data)} fields, {seconds:.0f} CPU s, acceptance {data.how['acceptance']:.3f}, "
        f"{data.how['steps']} steps, tau {tau.time:.2f}({tau.error:.2f}), thermalised "
        f"{judged.reached}; {each:.3f} ms per independent field"
    )


def flow(theory: fields.Phi4, method: str, count: int, draws: int) -> None:
    begin = time.process_time()
    data, seconds = train(theory, count)
    print(theory, flush=True)
    print(hmc_line(data, seconds), flush=True)
    start = time.process_time()
    inverse = fields.InverseFlow.fit(theory, data, method)
    fitted = time.process_time()
    drawn = inverse.sample(jax.random.key(5), draws)
    sampled = time.process_time()
    certificate = inverse.certify(drawn, data)
    print(certificate)
    summary = certificate.draws
    volume = theory.volume
    print(
        f"{method}: fit {fitted - start:.0f}, draws {sampled - fitted:.1f}, all "
        f"{time.process_time() - begin:.0f} CPU s; log Z/V "
        f"{summary.log_partition_function / volume:.6f}({summary.log_partition_error / volume:.6f})"
        f"; {1e3 * (sampled - fitted) / (draws * summary.effective_fraction):.3f} ms per effective "
        f"draw after the fit, {1e3 * (sampled - start) / (draws * summary.effective_fraction):.2f} "
        "with it"
    )


def refine(theory: fields.Phi4, chains: int = 2) -> None:
    """Coarse fields of chains that the fit has not seen, each with random numbers of its own.

    The refined fields and the fine fields that the coarse ones came from share their long waves, so
    differences of the pairs tell more than two ensembles: both are printed.
    """
    data, _ = train(theory, 30_000)
    inverse = fields.InverseFlow.fit(theory, data)
    pairs: dict[str, list[np.ndarray]] = {}
    refined, fine = [], []
    for number in range(chains):
        source = theory.hmc(8192, jax.random.key(30 + number), chains=256).fields
        coarse = fields.decimate(source, 2)
        answer = inverse.refine(coarse, jax.random.key(40 + number), proposals=6)
        print(
            f"acceptance {answer.acceptance:.3f}, var log w {answer.log_weight_variance:.4f}",
            flush=True,
        )
        refined.append(answer.ensemble.fields)
        fine.append(source)
        ours, theirs = (per_field(theory, f) for f in (refined[-1], source))
        for name in ("action", "identity", "field_squared", "first_momentum"):
            # 32 groups of whole chains
            change = (ours[name] - theirs[name]).reshape(-1, 32, 8).mean((0, 2))
            pairs.setdefault(name, []).append(change)
    both = [
        fields.Ensemble(theory, np.concatenate(f), None, 256).observables() for f in (refined, fine)
    ]
    for name, value in both[0].items():
        other = both[1][name]
        print(
            f"{name:<26}{value.value:>10.5g}({value.error:.2g})  HMC {other.value:>10.5g}"
            f"({other.error:.2g})  pull {value.pull(other):+.1f}"
        )
    for name, parts in pairs.items():
        groups = np.concatenate(parts)
        mean, error = groups.mean(), groups.std(ddof=1) / np.sqrt(len(groups))
        print(f"pairs, {name:<19}{mean:>10.5f}({error:.5f})  pull {mean / error:+.1f}")


def main() -> None:
    what, *rest = sys.argv[1:]
    if what == "points":
        # m^2 = -4, g = 6.008 at L = 8; g = 4.97 at L = 16 is tuned to xi = L/4 (4.284 at 4.9,
        # 3.447 at 5.113)
        for side, coupling in ((8, 6.008), (16, 4.97)):
            theory = fields.Phi4.from_mass_and_coupling((side, side), -4.0, coupling)
            flow(theory, "decimation", 30_000, 4096)
        return
    side = int(rest[0])
    if what == "memory":
        theory = fields.Phi4((side, side), 0.2705, LAM)
        start = time.process_time()
        data = theory.hmc(64, jax.random.key(0), chains=32, thermalization=120, gap=5)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"L = {side}: {len(data)} fields, acceptance {data.how['acceptance']:.3f}, "
            f"{time.process_time() - start:.0f} CPU s, peak {peak:.0f} MiB of the whole process"
        )
        return
    theory = fields.Phi4((side, side), float(rest[1]), LAM)
    if what == "refine":
        refine(theory)
    elif what == "hmc":
        data, seconds = train(theory, int(rest[2]) if len(rest) > 2 else 25_600)
        print(hmc_line(data, seconds))
        for name, value in data.observables().items():
            print(f"{name:<26}{value.value:.5f}({value.error:.5f})")
    else:
        count = int(rest[2]) if len(rest) > 2 else 30_000
        flow(theory, what, count, int(rest[3]) if len(rest) > 3 else 4096)


if __name__ == "__main__":
    main()
