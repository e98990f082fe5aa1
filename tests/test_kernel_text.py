"""Kernels as text: read back bit for bit, and everything else gets a sentence."""

import builtins
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wilsonian import (
    RBF,
    ArcCosine,
    Constant,
    Cosine,
    ErfNetwork,
    FromFunction,
    Kernel,
    Linear,
    Matern12,
    Matern32,
    Matern52,
    Periodic,
    Polynomial,
    RationalQuadratic,
    Rescaled,
    locally_periodic,
    spectral_mixture,
)
from wilsonian.kernels import Product, Scaled, Sum
from wilsonian.language.kernel_text import describe_kernel, format_kernel, parse_kernel
from wilsonian.language.kernel_vocabulary import (
    DEEPEST,
    KERNELS,
    LONGEST,
    MOST_PARTS,
    NAMES,
    KernelTextError,
)


def same(left, right):
    """Whether two kernels are the same tree with the same float64 bits and shapes."""
    if isinstance(left, Kernel):
        return type(left) is type(right) and all(
            same(value, vars(right)[name]) for name, value in vars(left).items()
        )
    if isinstance(left, str):
        return left == right
    left, right = np.asarray(left, np.float64), np.asarray(right, np.float64)
    return left.shape == right.shape and left.tobytes() == right.tobytes()


def test_same_can_fail():
    assert same(RBF(2.0), RBF(np.float64(2.0)))
    assert not same(RBF(2.0), RBF(np.nextafter(2.0, 3.0)))
    assert not same(RBF(2.0), RBF(np.array([2.0])))
    assert not same(RBF(2.0), Matern12(2.0))
    assert not same(Linear(1.0, 0.0), Linear(1.0, -0.0))
    assert not same(ArcCosine(kind="ntk"), ArcCosine(kind="nngp"))
    a, b, c = RBF(), Linear(), Matern12()
    assert not same((a + b) + c, a + (b + c))


# Expressions, as pairs of a text and the kernel that Python's own operators build.

PAIRS = {
    # As Python has it:
    "0.5 * Matern52(2.0) + Linear(1.0, bias_variance=0)": 0.5 * Matern52(2.0) + Linear(1.0, 0.0),
    "RBF([1, 2.5]) * RBF()": RBF(np.array([1.0, 2.5])) * RBF(),
    "Polynomial(degree=3, variance=0.1)": Polynomial(3, 0.1),
    "nngp(relu, depth=3) + ntk(erf)": ArcCosine(3, "nngp") + ErfNetwork(kind="ntk"),
    "Rescaled(Linear() + RBF(), [0.5, 2])": Rescaled(Linear() + RBF(), np.array([0.5, 2.0])),
    "rbf": RBF(),
    " RBF\n": RBF(),
    "rbf:length_scale=2": RBF(2.0),
    "matern12:length_scale = .5": Matern12(0.5),
    "matern-3/2:length-scale=[1, 2.5,3e-1]": Matern32(np.array([1.0, 2.5, 0.3])),
    "Matern52:length_scale=[ 4. ]": Matern52(np.array([4.0])),
    "RationalQuadratic:alpha=3,length_scale=1E+2": RationalQuadratic(100.0, 3.0),
    "linear:variance=2,bias_variance=0": Linear(2.0, 0.0),
    "polynomial:degree=3,variance=0.1": Polynomial(3, 0.1),
    "constant:variance=+2": Constant(2.0),
    "periodic:period=12": Periodic(1.0, 12.0),
    "Cosine:period=[2,3]": Cosine(np.array([2.0, 3.0])),
    "locally-periodic:period=12,decay=[50]": locally_periodic(1.0, 12.0, np.array([50.0])),
    "spectral_mixture:components=2": spectral_mixture(2),
    "spectral_mixture:period=7": spectral_mixture(period=7.0),
    "nngp": ArcCosine(),
    "ntk:erf": ErfNetwork(kind="ntk"),
    "nngp:relu,depth=3,weight_variance=2,bias_variance=0.1": ArcCosine(3, "nngp", 2.0, 0.1),
    "ntk : depth = 2 , erf": ErfNetwork(2, "ntk"),
    "rescaled(linear + 1):length_scale=[1,2]": Rescaled(Linear() + 1.0, np.array([1.0, 2.0])),
    "rescaled(2)": Rescaled(Constant(2.0)),
    "0.5*rbf": 0.5 * RBF(),
    "rbf*0.5": RBF() * 0.5,
    "rbf + 0.1": RBF() + 0.1,
    "0.1 + rbf": 0.1 + RBF(),
    "3": Constant(3.0),
    "2*(1 + 0.5)*rbf": 3.0 * RBF(),
    "2*rbf*linear + 3*nngp*4": 2.0 * RBF() * Linear() + 3.0 * ArcCosine() * 4.0,
    "rbf*(linear*(nngp + 1))": RBF() * (Linear() * (ArcCosine() + 1.0)),
    "rbf:length_scale=1+linear:variance=2*nngp": RBF(1.0) + Linear(2.0) * ArcCosine(),
    "(rbf:length_scale=1e+1)": RBF(10.0),
}


@pytest.mark.parametrize("text", PAIRS)
def test_text_means_what_python_means(text):
    assert same(parse_kernel(text), PAIRS[text])


@pytest.mark.parametrize("text", PAIRS)
def test_written_kernels_are_read_back(text):
    assert same(parse_kernel(format_kernel(PAIRS[text])), PAIRS[text])


@pytest.mark.parametrize("name", KERNELS)
def test_every_name_is_its_kernel_as_python_makes_it(name):
    assert same(parse_kernel(name), KERNELS[name]())
    assert same(parse_kernel(format_kernel(KERNELS[name]())), KERNELS[name]())


POSITIVE = st.floats(min_value=5e-324, max_value=1.7e308)
NOT_NEGATIVE = st.one_of(st.just(0.0), POSITIVE)
SCALES = st.one_of(POSITIVE, st.lists(POSITIVE, min_size=1, max_size=4).map(np.array))
COUNT = st.integers(1, 1000)
NETWORK = (COUNT, st.sampled_from(["nngp", "ntk"]), POSITIVE, NOT_NEGATIVE)
ATOMS = st.one_of(
    *(st.builds(kernel, SCALES) for kernel in (RBF, Matern12, Matern32, Matern52)),
    st.builds(RationalQuadratic, SCALES, POSITIVE),
    st.builds(Linear, POSITIVE, NOT_NEGATIVE),
    st.builds(Polynomial, COUNT, POSITIVE, NOT_NEGATIVE),
    st.builds(Constant, POSITIVE),
    st.builds(ArcCosine, *NETWORK),
    st.builds(ErfNetwork, *NETWORK),
)
TREES = st.recursive(
    ATOMS,
    lambda parts: st.one_of(
        st.builds(Sum, parts, parts),
        st.builds(Product, parts, parts),
        st.builds(Scaled, parts, POSITIVE),
        st.builds(Rescaled, parts, SCALES),
    ),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(TREES)
def test_every_tree_comes_back_bit_for_bit(kernel):
    text = format_kernel(kernel)
    assert same(parse_kernel(text), kernel)
    assert format_kernel(parse_kernel(text)) == text


SPACES = st.sampled_from(["", " ", "\n\t "])


@st.composite
def expressions(draw, depth=4):
    """A text with spare spaces and parentheses, and its value by Python's operators."""
    if depth == 0 or draw(st.booleans()):
        name = draw(st.sampled_from(["rbf:length_scale=0.3", "nngp:erf,depth=2", "linear"]))
        number = draw(st.sampled_from(["0.5", "2", "1e-3"]))
        if draw(st.integers(0, 3)) == 0:
            return number, float(number)
        return name, PAIRS.get(name, parse_kernel(name))
    (left, a), (right, b) = draw(expressions(depth=depth - 1)), draw(expressions(depth=depth - 1))
    symbol, space = draw(st.sampled_from("+*")), draw(SPACES)
    return f"({left}{space}{symbol}{space}{right})", (a + b if symbol == "+" else a * b)


@settings(max_examples=100, deadline=None)
@given(expressions())
def test_expressions_are_evaluated_as_python_would(pair):
    text, value = pair
    assert same(parse_kernel(text), value if isinstance(value, Kernel) else Constant(value))


@settings(max_examples=300, deadline=None)
@given(st.text("rbf:=[](),.+-*/ 0125enk_lgthsca\n", max_size=30) | st.text(max_size=20))
def test_any_text_is_a_kernel_or_gets_a_sentence(text):
    try:
        kernel = parse_kernel(text)
    except KernelTextError as error:
        sentence = str(error)
        assert sentence.endswith(".")
        assert "\n" not in sentence
    else:
        assert same(parse_kernel(format_kernel(kernel)), kernel)


def test_numbers_do_not_depend_on_where_they_come_from():
    third = np.float32(1) / 3
    for value in (third, jnp.asarray(third), np.asarray(third), float(third)):
        assert format_kernel(RBF(value)) == f"rbf:length_scale={float(third)!r}"
    assert format_kernel(RBF(jnp.ones(2))) == "rbf:length_scale=[1.0,1.0]"
    assert format_kernel(RBF(2)) == "rbf:length_scale=2"
    with jax.enable_x64(True):
        double = RBF(jnp.asarray([1 / 3, 2.0]))
    # Read where float64 is not enabled, and still float64.
    parsed = parse_kernel(format_kernel(double) + " + 0.1")
    assert type(parsed.left.length_scale) is np.ndarray
    assert parsed.left.length_scale.dtype == np.float64
    assert parsed.left.length_scale.tolist() == [1 / 3, 2.0]
    assert type(parsed.right.variance) is float


def test_digits_round_for_people():
    kernel = (1 / 3) * RBF(np.array([1 / 3, 12345.6])) + Polynomial(1000, 2 / 3, 0.0)
    text = (
        "0.333 * rbf:length_scale=[0.333,1.23e+04] + "
        "polynomial:degree=1000,variance=0.667,bias_variance=0"
    )
    assert format_kernel(kernel, digits=3) == text
    assert format_kernel(parse_kernel(text), digits=3) == text


def test_parentheses_only_where_needed():
    a, b = RBF(), Constant()
    one, two = "rbf:length_scale=1", "constant:variance=1"
    expected = {
        f"{one} + {two} + {one}": a + b + a,
        f"{one} + ({two} + {one})": a + (b + a),
        f"{one} * {two} + {one}": a * b + a,
        f"{one} * ({two} + {one})": a * (b + a),
        f"{one} * ({two} * {one})": a * (b * a),
        f"2 * {one} * {two}": 2 * a * b,
        f"2 * ({one} * {two})": 2 * (a * b),
        f"2 * (3 * {one})": 2 * (3 * a),
        f"{one} * (2 * {two})": a * (2 * b),
    }
    for text, kernel in expected.items():
        assert format_kernel(kernel, digits=1) == text


def test_descriptions_are_short():
    scales = np.geomspace(0.3123, 12.44, 20)
    assert describe_kernel(RBF(1 / 3)) == "rbf:length_scale=0.333"
    assert describe_kernel(RBF(scales)) == "rbf:length_scale=0.312 to 12.4 (20 columns)"
    assert describe_kernel(RBF(jnp.arange(1.0, 5.0))) == "rbf:length_scale=[1,2,3,4]"
    assert describe_kernel(RBF(np.arange(1.0, 5.0)), most=3).endswith("=1 to 4 (4 columns)")
    network = 0.5 * Rescaled(ErfNetwork(3, "ntk"), scales)
    assert describe_kernel(network) == (
        "0.5 * rescaled(ntk:erf,depth=3,weight_variance=1,bias_variance=0)"
        ":length_scale=0.312 to 12.4 (20 columns)"
    )
    # What cannot be saved can still be described.
    assert describe_kernel(2 * FromFunction(np.dot) + Mine()) == "2 * function dot + Mine"
    assert describe_kernel(Constant(0.0)) == "constant:variance=0"


# Errors: one sentence each.

KERNEL_NAMES = f"{', '.join(NAMES)}."
SCALE_RULE = "must be a positive finite number, or a list of them such as [0.5,2], got "
COUNT_RULE = "must be a whole number from 1 to 1000, got "
SENTENCES = {
    "mattern52": "unknown kernel 'mattern52' (did you mean 'matern52'?); kernels are "
    + KERNEL_NAMES,
    "1 + zzz": f"unknown kernel 'zzz'; kernels are {KERNEL_NAMES}",
    "rbf:lenght=2": "unknown option 'lenght' of rbf (did you mean 'length_scale'?); options of rbf "
    "are length_scale.",
    "linear:alpha=2": "unknown option 'alpha' of linear; options of linear are variance, "
    "bias_variance.",
    "ntk:elu": "unknown activation 'elu' (did you mean 'relu'?); activations are relu, erf.",
    "nngp:kind=2": "unknown option 'kind' of nngp; options of nngp are depth, weight_variance, "
    "bias_variance.",
    "ntk:relu,erf": "activation of ntk at character 10 is given twice; keep one of them.",
    "linear:variance=1,variance=1": "variance of linear at character 19 is given twice; keep one "
    "of them.",
    "rbf:length_scale=0": f"length_scale of rbf at character 18 {SCALE_RULE}'0'.",
    "rbf:length_scale=-1": f"length_scale of rbf at character 18 {SCALE_RULE}'-1'.",
    "rbf:length_scale=1e999": f"length_scale of rbf at character 18 {SCALE_RULE}'1e999'.",
    "rbf:length_scale=[1,1e-99999]": "length_scale of rbf at character 18 "
    f"{SCALE_RULE}'[1,1e-99999]'.",
    "rational_quadratic:alpha=0": "alpha of rational_quadratic at character 26 must be positive "
    "and finite, got '0'.",
    "rational_quadratic:alpha=[1]": "alpha of rational_quadratic at character 26 must be positive "
    "and finite, got '[1]'.",
    "linear:bias_variance=-1e-9": "bias_variance of linear at character 22 must be finite and not "
    "negative, got '-1e-9'.",
    "nngp:weight_variance=0": "weight_variance of nngp at character 22 must be positive and "
    "finite, got '0'.",
    "polynomial:degree=2.0": f"degree of polynomial at character 19 {COUNT_RULE}'2.0'.",
    "polynomial:degree=0": f"degree of polynomial at character 19 {COUNT_RULE}'0'.",
    "nngp:depth=-1": f"depth of nngp at character 12 {COUNT_RULE}'-1'.",
    "nngp:depth=1001": f"depth of nngp at character 12 {COUNT_RULE}'1001'.",
    f"nngp:depth={'9' * 5000}": f"depth of nngp at character 12 {COUNT_RULE}'{'9' * 56}....",
    "polynomial:degree=[2]": f"degree of polynomial at character 19 {COUNT_RULE}'[2]'.",
    "0*rbf": "the number at character 1 must be positive and finite, got '0'.",
    "rbf + -0.5": "the number at character 7 must be positive and finite, got '-0.5'.",
    "1e300*1e300*rbf": "the number at character 1 must be positive and finite, got '1e300*1e300'.",
}
EXAMPLE = "; write for example 'matern52:length_scale=2 + 0.1 * linear'."
EXPECTED = {
    "": "expected the text of a kernel, got ''",
    " \n ": "expected the text of a kernel, got ' \\n '",
    "rbf + ": "expected a kernel, a number or '(' at character 7, got the end",
    "*rbf": "expected a kernel, a number or '(' at character 1, got '*'",
    "rbf**2": "expected a kernel, a number or '(' at character 5, got '*'",
    "\N{ARABIC-INDIC DIGIT TWO}*rbf": "expected a kernel, a number or '(' at character 1, got "
    "'\N{ARABIC-INDIC DIGIT TWO}'",
    "rbf linear": "expected '+', '*' or the end at character 5, got 'linear'",
    "rbf)": "expected '+', '*' or the end at character 4, got ')'",
    "rbf - 0.1": "expected '+', '*' or the end at character 5, got '-'",
    "(rbf)(2)": "expected '+', '*' or the end at character 6, got '('",
    "rbf(2": "expected ',' or ')' at character 6, got the end",
    "rbf(2, 3)": "expected an option of rbf at character 8, got '3'",
    "linear(bias_variance=0, 2)": "expected an option of linear at character 25, got '2'",
    "nngp(relu, 3)": "expected an option of nngp at character 12, got '3'",
    "rescaled(linear, 2 + 1)": "expected ',' or ')' at character 20, got '+'",
    "(rbf) : length_scale=1": "expected '+', '*' or the end at character 7, got ':'",
    "(rbf": "expected '+', '*' or ')' at character 5, got the end",
    "rescaled:length_scale=2": "expected '(' and a kernel to rescale at character 9, got ':'",
    "rbf:": "expected an option of rbf at character 5, got the end",
    "rbf:2": "expected an option of rbf at character 5, got '2'",
    "rbf:length_scale=1,": "expected an option of rbf at character 20, got the end",
    "rbf:length_scale + 1": "expected '=' and a value for 'length_scale' at character 18, got '+'",
    "rbf:length_scale=nan": "expected a finite number at character 18, got 'nan'",
    "rbf:length_scale=inf": "expected a finite number at character 18, got 'inf'",
    "rbf:length_scale=": "expected a finite number at character 18, got the end",
    "rbf:length_scale=[]": "expected a finite number at character 19, got ']'",
    "rbf:length_scale=[1 2]": "expected ',' or ']' at character 21, got '2'",
    "rbf:length_scale=[[1]]": "expected a finite number at character 19, got '['",
    "rbf:length_scale=1_0": "expected '+', '*' or the end at character 19, got '_0'",
}


@pytest.mark.parametrize("text", [*SENTENCES, *EXPECTED], ids=lambda text: ascii(text)[:40])
def test_bad_text_gets_its_sentence(text):
    with pytest.raises(KernelTextError) as caught:
        parse_kernel(text)
    assert str(caught.value) == SENTENCES.get(text, EXPECTED.get(text, "") + EXAMPLE)
    assert issubclass(KernelTextError, ValueError)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('x')",
        "rbf:length_scale=__import__('os').system('x')",
        "rbf:__class__=1",
        "exec",
        "(lambda: rbf)()",
        "rbf:length_scale=[1 for _ in (1,)]",
        "{rbf}",
        "rbf; rbf",
        "rbf.__class__",
        "FromFunction:function=max",
    ],
)
def test_text_is_never_run(text, monkeypatch):
    def run(*args):
        raise AssertionError(f"ran {args}")

    with monkeypatch.context() as patch:
        for module, name in ((builtins, "eval"), (builtins, "exec"), (os, "system")):
            patch.setattr(module, name, run)
        with pytest.raises(KernelTextError):
            parse_kernel(text)


def test_what_is_no_text_gets_its_sentence():
    with pytest.raises(KernelTextError, match=r"^expected the text of a kernel, got RBF\(\);"):
        parse_kernel(RBF())
    with pytest.raises(KernelTextError, match=r"has 1,000,001 characters; write at most 1,000,000"):
        parse_kernel(" " * LONGEST + "1")


TOO_DEEP = rf"^the kernel is nested deeper than {DEEPEST} levels; use fewer parentheses or terms\.$"


def bushy(levels, leaf, join):
    return leaf if levels == 0 else join(*2 * [bushy(levels - 1, leaf, join)])


def test_nesting_has_an_end():
    def nested(levels):
        return "(" * levels + "rbf" + ")" * levels

    def chained(terms):
        return " + ".join(["rbf"] * terms)

    assert same(parse_kernel(nested(DEEPEST)), RBF())
    deepest = parse_kernel(chained(DEEPEST))
    assert same(parse_kernel(format_kernel(deepest)), deepest)
    # As deep as it gets still works as a kernel: the gram of a sum is the sum of grams.
    np.testing.assert_allclose(deepest(np.zeros((2, 1))), np.full((2, 2), DEEPEST), rtol=1e-6)
    inside = f"({chained(DEEPEST)})"
    for text in (
        nested(DEEPEST + 1),
        nested(10_000),
        "(" * 10_000,
        chained(DEEPEST + 1),
        chained(100_000),
        f"rescaled({inside})",
        f"{inside} * rbf",
        f"({inside} * 1 + rbf * (rbf + {inside}))",
        "rescaled(" * 10_000,
        "rbf" + "*0.5" * DEEPEST,
    ):
        with pytest.raises(KernelTextError, match=TOO_DEEP):
            parse_kernel(text)
    with pytest.raises(KernelTextError, match=TOO_DEEP):
        format_kernel(deepest + RBF())


def test_the_number_of_parts_has_an_end():
    text = bushy(9, "rbf", lambda left, right: f"({left}+{right})")  # 1023 parts
    with pytest.raises(KernelTextError, match=rf"^the kernel has more than {MOST_PARTS:,} parts; "):
        parse_kernel(text)
    kernel = bushy(9, RBF(), Sum)
    with pytest.raises(KernelTextError, match=rf"^the kernel has more than {MOST_PARTS:,} parts; "):
        format_kernel(kernel)
    assert same(parse_kernel(format_kernel(kernel.left)), kernel.left)


class Mine(RBF):
    """A class of the user's."""


@pytest.mark.parametrize(
    ("kernel", "sentence"),
    [
        (
            RBF() + 2 * FromFunction(np.dot),
            r"^a kernel made by the function dot cannot be written as text or saved: a function is "
            r"code; keep to the built-in kernels, or pickle the estimator yourself\.$",
        ),
        (
            Rescaled(Mine() * RBF()),
            r"^a kernel made by the class Mine cannot be written as text or saved: a class is "
            r"code;",
        ),
        (3.0, r"^expected a kernel, got 3\.0; pass one such as RBF\(\)\.$"),
        (
            Linear(0.0) + RBF(),
            r"^a kernel with variance 0\.0 cannot be written as text or saved; variance must be "
            r"positive and finite\.$",
        ),
        (0 * RBF(), r"^a kernel with variance 0 cannot"),
        (RBF(np.nan), r"length_scale nan cannot"),
        (RBF(-1.0), r"length_scale -1\.0 cannot"),
        (RBF(np.ones((2, 2))), r"length_scale array\(\[\[1\., 1\.\], \[1\., 1\.\]\]\) cannot"),
        (RBF(np.ones(0)), r"length_scale array\(\[\], dtype=float64\) cannot"),
        (RBF(10**400), r"length_scale 1000000000\S+ cannot"),
        (Constant(np.ones(1)), r"variance array\(\[1\.\]\) cannot"),
        (RBF("x"), r"length_scale 'x' cannot"),
        (RationalQuadratic(alpha=np.inf), r"alpha inf cannot .* must be positive and finite\.$"),
        (Linear(1.0, -1.0), r"bias_variance -1\.0 cannot .* must be finite and not negative\.$"),
        (ArcCosine(2000), r"depth 2000 cannot .* must be a whole number from 1 to 1000\.$"),
        (RBF(np.full(60_000, 1 / 3)), r"takes 1,[0-9]{3},[0-9]{3} characters as text, of which"),
    ],
    ids=lambda value: None if isinstance(value, str) else type(value).__name__,
)
def test_kernels_that_are_no_text_get_their_sentence(kernel, sentence):
    with pytest.raises(KernelTextError, match=sentence) as caught:
        format_kernel(kernel)
    assert "\n" not in str(caught.value)


def test_tracers_are_no_text():
    def written(length_scale):
        return format_kernel(RBF(length_scale))

    with pytest.raises(KernelTextError, match=r"with length_scale \S*Tracer"):
        jax.jit(written)(2.0)
