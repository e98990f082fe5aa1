"""Time and memory of infinite-network kernels, beside neural-tangents in an environment of its own.

    python3.11 -m venv nt-venv
    nt-venv/bin/pip install neural-tangents==0.6.5 jax==0.5.3 jaxlib==0.5.3
    python benchmarks/networks_speed.py --other-python nt-venv/bin/python

neural-tangents 0.6.5 does not import on JAX 0.6 and newer; 0.5.3 is the newest it works with. Every
measurement has a process of its own, which compiles once, runs several times and reports its
fastest run, the peak of its resident memory and a digest of the result; processes of both sides
alternate, on the same cores, and the fastest of all counts; CPU time is given too, which other
work on the machine disturbs less. Everything is in float32, and the kernel matrices are compared.
`--products` times, instead of neural-tangents, one matrix product and three elementwise passes of
the same size. The convolutional case at its full 128 images takes neural-tangents two hours of CPU
time; cost goes with the pairs of images, so `--cases myrtle-5 --size 8` tells the ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

CASES = {
    "dense-3": "fully connected ReLU, depth 3, n = 4,000, NNGP and NTK",
    "dense-10": "fully connected ReLU, depth 10, n = 4,000, NNGP and NTK",
    "myrtle-5": "Myrtle-5-like convolutions with pooling, 128 images of 32 x 32 x 3, NNGP and NTK",
    "dense-3-nngp": "fully connected ReLU, depth 3, n = 4,000, NNGP alone",
}
TARGETS = {"dense-3": 3.0, "dense-10": 3.0, "myrtle-5": 1.5}
SIZES = {"dense-3": 4000, "dense-10": 4000, "dense-3-nngp": 4000, "myrtle-5": 128}

# What a measuring process runs. It shares no import with the rest: the other side has another JAX.
MEASURE = r"""
import json, resource, sys, time
import numpy as np
case, size, repeats, seed = sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), 0
random = np.random.default_rng(seed)
shape = (size, 32, 32, 3) if case == "myrtle-5" else (size, 784)
X = random.normal(size=shape).astype(np.float32)
run = make(case, X)
result = run()
seconds, cpu_seconds = [], []
for _ in range(repeats):
    began, cpu_began = time.perf_counter(), time.process_time()
    result = run()
    seconds.append(time.perf_counter() - began)
    cpu_seconds.append(time.process_time() - cpu_began)
picks = random.integers(0, size, (2, 1000))
digest = [np.asarray(r)[picks[0], picks[1]].tolist() for r in result]
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
found = {"seconds": seconds, "cpu_seconds": cpu_seconds, "gibibytes": memory, "digest": digest}
print("RESULT " + json.dumps(found))
"""

OURS = r"""
import jax, jax.numpy as jnp
from wilsonian import networks as nn

def architecture(case):
    if case != "myrtle-5":
        depth = int(case.split("-")[1])
        dense = lambda width: nn.Dense(width, weight_variance=2.0, bias_variance=0.01)
        return nn.serial(*[l for _ in range(depth) for l in (dense(512), nn.Relu())], dense(1))
    conv = lambda: nn.Conv(16, (3, 3), padding="SAME", weight_variance=2.0, bias_variance=0.01)
    pool = lambda: nn.AvgPool((2, 2), strides=(2, 2), padding="VALID")
    return nn.serial(
        conv(), nn.Relu(), conv(), nn.Relu(), pool(), conv(), nn.Relu(), pool(), conv(), nn.Relu(),
        pool(), nn.Flatten(), nn.Dense(1, weight_variance=2.0, bias_variance=0.01))

def make(case, X):
    net, X = architecture(case), jnp.asarray(X)
    if case == "dense-3-nngp":
        kernel = jax.jit(nn.nngp(net))
        return lambda: (jax.block_until_ready(kernel(X)),)
    return lambda: jax.block_until_ready(nn.nngp_and_ntk(net, X))
"""

THEIRS = r"""
import jax, jax.numpy as jnp
from neural_tangents import stax

def architecture(case):
    if case != "myrtle-5":
        depth = int(case.split("-")[1])
        dense = lambda width: stax.Dense(width, W_std=2**0.5, b_std=0.1)
        return stax.serial(*[l for _ in range(depth) for l in (dense(512), stax.Relu())], dense(1))
    conv = lambda: stax.Conv(16, (3, 3), padding="SAME", W_std=2**0.5, b_std=0.1)
    pool = lambda: stax.AvgPool((2, 2), strides=(2, 2), padding="VALID")
    return stax.serial(
        conv(), stax.Relu(), conv(), stax.Relu(), pool(), conv(), stax.Relu(), pool(), conv(),
        stax.Relu(), pool(), stax.Flatten(), stax.Dense(1, W_std=2**0.5, b_std=0.1))

def make(case, X):
    _, _, kernel_fn = architecture(case)
    get = "nngp" if case == "dense-3-nngp" else ("nngp", "ntk")
    X = jnp.asarray(X)
    if case == "myrtle-5":
        import neural_tangents as nt
        # All pairs at once would take 2 x 64 GiB of covariances.
        kernel_fn = nt.batch(jax.jit(kernel_fn, static_argnames="get"), batch_size=BATCH)
        return lambda: jax.block_until_ready(tuple(kernel_fn(X, None, get)))
    kernel_fn = jax.jit(kernel_fn, static_argnames="get")
    def run():
        found = kernel_fn(X, None, get=get)
        return jax.block_until_ready((found,) if case == "dense-3-nngp" else tuple(found))
    return run
"""

PRODUCTS = r"""
import jax, jax.numpy as jnp

def make(case, X):
    X = jnp.asarray(X)
    @jax.jit
    def once(X):
        return jnp.dot(X, X.T)
    @jax.jit
    def elementwise(K):
        return jnp.sqrt(jnp.abs(K)) + 0.5 * K
    def run():
        K = jax.block_until_ready(once(X))
        for _ in range(3):  # apart, so that each goes through memory
            K = jax.block_until_ready(elementwise(K))
        return (K,)
    return run
"""


def measure(python: str, make: str, case: str, arguments: argparse.Namespace) -> dict:
    """One process: seconds of each run, peak memory in GiB, a sample of the result."""
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment["OMP_NUM_THREADS"] = str(arguments.threads)
    if make == OURS:
        source = str(Path(__file__).resolve().parents[1] / "src")
        environment["PYTHONPATH"] = os.pathsep.join([source, environment.get("PYTHONPATH", "")])
    else:
        environment.pop("PYTHONPATH", None)
    program = make.replace("BATCH", str(arguments.batch)) + MEASURE
    size = arguments.size or SIZES[case]
    cores = sorted(os.sched_getaffinity(0))[: arguments.threads]
    done = subprocess.run(
        [python, "-c", program, "-", case, str(size), str(arguments.repeats)],
        env=environment,
        capture_output=True,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    if done.returncode:
        raise SystemExit(f"{case} failed under {python}:\n{done.stderr[-3000:]}")
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    return json.loads(line.removeprefix("RESULT "))


def fastest(runs: list[dict]) -> tuple[float, float, float]:
    """Seconds, seconds of CPU time and memory: the least of all runs, and of the peaks."""
    times = (min(min(run[name]) for run in runs) for name in ("seconds", "cpu_seconds"))
    return *times, min(run["gibibytes"] for run in runs)


def difference(ours: dict, theirs: dict) -> float:
    """Largest relative difference between samples of the results."""
    return max(
        abs(a - b) / abs(b)
        for left, right in zip(ours["digest"], theirs["digest"], strict=True)
        for a, b in zip(left, right, strict=True)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--other-python", default="nt-venv/bin/python")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=["dense-3", "dense-10"])
    parser.add_argument("--products", action="store_true", help="beside the bare products instead")
    parser.add_argument("--size", type=int, help="points, other than the case's own")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3, help="runs in each process")
    parser.add_argument("--processes", type=int, default=2, help="of each side, alternating")
    parser.add_argument("--batch", type=int, default=8, help="neural-tangents' for images")
    arguments = parser.parse_args()
    if arguments.products:
        arguments.cases, other, name = ["dense-3-nngp"], (sys.executable, PRODUCTS), "products"
    else:
        other, name = (arguments.other_python, THEIRS), "neural-tangents"
    for case in arguments.cases:
        ours, theirs = [], []
        for _ in range(arguments.processes):
            ours.append(measure(sys.executable, OURS, case, arguments))
            theirs.append(measure(*other, case, arguments))
        (seconds, cpu, memory), (their_seconds, their_cpu, their_memory) = map(
            fastest, (ours, theirs)
        )
        print(f"{case}: {CASES[case]}" + (f" (n = {arguments.size})" if arguments.size else ""))
        print(f"  wilsonian        {seconds:8.3f} s  CPU {cpu:8.3f} s  peak {memory:5.2f} GiB")
        print(
            f"  {name:16s} {their_seconds:8.3f} s  CPU {their_cpu:8.3f} s  "
            f"peak {their_memory:5.2f} GiB"
        )
        if arguments.products:
            took = f"{seconds / their_seconds:.2f} (CPU {cpu / their_cpu:.2f})"
            print(f"  wilsonian takes {took} times as long (target: 2)", flush=True)
            continue
        ratios = f"{their_seconds / seconds:.2f} (CPU {their_cpu / cpu:.2f}) times as fast"
        aim = f" (target: {TARGETS[case]:g})" if case in TARGETS else ""
        print(f"  {ratios}{aim}, {memory / their_memory:.2f} of the memory; ", end="")
        print(f"kernels differ by at most {difference(ours[0], theirs[0]):.1e}", flush=True)


if __name__ == "__main__":
    main()
