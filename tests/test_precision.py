"""Products keep the precision of their numbers wherever they run: an accelerator would otherwise
round float32 to 10 bits. What a program asks for stands in its text, which a host can read."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wilsonian import Matern52
from wilsonian.core.gaussian import GaussianTargets
from wilsonian.core.marginalization import marginal_information, marginalize
from wilsonian.core.precision import compiled, full_products, with_precision
from wilsonian.core.spectrum import Spectrum
from wilsonian.information import lanczos
from wilsonian.networks.dynamics import gradient_flow
from wilsonian.regression.exact import kernel_products
from wilsonian.regression.learning.evidence import Candidate, differentiated
from wilsonian.regression.sample import Sample

RANDOM = np.random.default_rng(0)


def numbers(*shape):
    return jnp.asarray(RANDOM.normal(size=shape), jnp.float32)


def products(text):
    return re.findall(r"dot_general.*", text)


def marginals():
    jacobian, scale, noise = numbers(5, 3), jnp.ones(3), jnp.ones(5)
    yield jax.jit(marginalize).lower(jacobian, scale, noise, numbers(5))
    yield jax.jit(marginal_information).lower(jacobian, scale, noise, numbers(5, 2))


def spectra():
    spectrum = Spectrum.of(jnp.ones(2), numbers(4, 2), jnp.ones(4))
    yield jax.jit(lambda s: (s.gram(), s.diagonal())).lower(spectrum)
    targets = GaussianTargets.of(jnp.eye(4), numbers(4))
    yield jax.jit(lambda t, x: (t.reduction(x), t.log_evidence())).lower(targets, numbers(4, 2))


def evidences():
    """And, by differentiation, their slopes."""
    kernel = with_precision(Matern52(np.ones(2)), np.float32)
    candidate, fixed = Candidate.of(kernel, [1.0], [0.1], numbers(4, 2))
    sample = Sample(numbers(20, 2), numbers(20, 1), np.ones(20))
    candidate, fixed, sample = with_precision((candidate, fixed, sample), np.float32)
    yield differentiated.lower(candidate, fixed, sample, False)


def networks():
    flow = gradient_flow(Matern52(), Matern52(), numbers(4, 2), numbers(4))
    yield type(flow)._predict.lower(flow, numbers(3, 2), numbers(4))


def read_outs():
    yield kernel_products._both.lower(
        Matern52(), numbers(4, 2), numbers(4, 2), numbers(4, 1), numbers(4, 1)
    )


def vectors():
    yield lanczos._without.lower(numbers(4, 2), numbers(4))
    yield lanczos._orthogonal.lower(numbers(2, 4), numbers(4), numbers(4))


@pytest.mark.parametrize("programs", [marginals, spectra, evidences, networks, read_outs, vectors])
def test_products_are_asked_for_in_full(programs):
    for program in programs():
        found = products(program.as_text())
        assert found
        assert all("HIGHEST" in product for product in found)


def test_a_decorated_function_asks_for_it_and_others_do_not():
    plain, x = (lambda x: x @ x.T), numbers(3, 3)
    for function, asked in ((plain, False), (full_products(plain), True)):
        (text,) = products(jax.jit(function).lower(x).as_text())
        assert ("HIGHEST" in text) is asked
    assert "HIGHEST" in compiled(plain).lower(x).as_text()
    before = jax.config.jax_default_matmul_precision
    with pytest.raises(TypeError):
        full_products(lambda x: x @ None)(x)
    assert jax.config.jax_default_matmul_precision == before
