"""What the page says first must be borne out by its numbers, and must not refute the theory."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
from run_records import make_class_predictions, make_classification, make_flow, make_regression
from run_records import make_spectrum as spectrum_of
from sklearn.linear_model import LogisticRegression, RidgeCV

from wilsonian.app.figures.run_figures import SHADE
from wilsonian.app.reports import report_html
from wilsonian.app.reports.figures import RIDGE_CAPTIONS
from wilsonian.app.reports.page import document
from wilsonian.app.reports.text import cutoff_sentence, headlines, learned_sentence
from wilsonian.app.reports.verdicts import (
    baseline_sentence,
    confidence_verdict,
    error_sentence,
    evidence_sentence,
    interval_verdict,
    nothing_learned,
    verdicts,
)
from wilsonian.app.runs.baselines import Baselines
from wilsonian.app.runs.metrics import classification_metrics, regression_metrics
from wilsonian.app.runs.records import PredictionRecord
from wilsonian.support.axes import KEPT, format_ticks
from wilsonian.support.number_text import format_percent


@pytest.mark.parametrize(
    ("held", "rows", "judged"),
    [
        (0.879, 1000, "too narrow"),
        (0.879, 20, "as promised"),  # 20 rows cannot tell
        (0.95, 1000, "as promised"),
        (0.99, 1000, "too wide"),
        (0.9995, 100_000, "too wide"),
    ],
)
def test_intervals_are_judged_by_what_the_rows_can_tell(held, rows, judged):
    record = make_regression(metrics={"coverage_95": held, "rmse": 1.0}, test_rows=rows)
    share = format_percent(held)
    said = f"The 95% intervals hold {share} of the held-out rows: {judged}."
    assert interval_verdict(record) == said
    assert judged in report_html(record)


def test_confidence_is_judged_likewise():
    metrics = {"accuracy": 0.8, "error_rate": 0.2, "confidence": 0.95}
    record = make_classification(metrics=metrics, test_rows=1000)
    assert confidence_verdict(record).endswith("is right in 80%: too sure of itself.")
    record = make_classification(metrics={**metrics, "confidence": 0.6}, test_rows=1000)
    assert confidence_verdict(record).endswith("too cautious.")
    record = make_classification(metrics={**metrics, "confidence": 0.81}, test_rows=1000)
    assert confidence_verdict(record).endswith("as promised.")


def test_the_headline_is_the_error_and_what_it_means():
    page = report_html(make_regression())
    (first,) = re.findall(r'<p class="learned">([^<]*)</p>', page)
    assert first == (
        "Predictions of strength are typically off by 1.03: 25.7% of what always predicting the "
        "mean would be."
    )
    assert error_sentence(make_classification()) == (
        "33 of 150 held-out rows get the wrong class (22%)."
    )
    # The jargon stands behind it, and its glossary in front of the first figure with jargon.
    assert page.index("Predictions of strength") < page.index("modes are kept")
    assert page.index("Words used here") < page.index('id="spectrum"')


def test_pure_noise_is_not_called_learned():
    random = np.random.default_rng(0)
    true = random.normal(size=200)
    noise = regression_metrics(
        PredictionRecord(true, 0.1 * random.normal(size=200), np.ones(200)), 1
    )
    record = make_regression(metrics=noise, test_rows=200, spectrum=spectrum_of(32, 32))
    assert nothing_learned(record)
    assert "nothing was learned" in " ".join(verdicts(record))
    assert "not borne out" in learned_sentence(record)
    assert "learned" not in learned_sentence(record)
    signal = regression_metrics(PredictionRecord(true, 0.5 * true, np.ones(200)), 1)
    assert not nothing_learned(make_regression(metrics=signal, test_rows=200))


def test_a_classifier_that_names_the_commonest_class_has_learned_nothing():
    true = np.array(["a"] * 90 + ["b"] * 10)
    constant = PredictionRecord(
        true, np.array(["a"] * 100), None, np.tile([0.9, 0.1], (100, 1)), ("a", "b")
    )
    assert nothing_learned(make_classification(metrics=classification_metrics(constant)))
    rare = np.tile([0.9, 0.1], (100, 1))
    rare[90:] = [0.6, 0.4]  # told well, though never named
    told = PredictionRecord(true, constant.mean, None, rare, ("a", "b"))
    assert not nothing_learned(make_classification(metrics=classification_metrics(told)))
    good = make_class_predictions(400)
    assert not nothing_learned(make_classification(metrics=classification_metrics(good)))


def test_a_bound_above_the_whole_error_is_no_price():
    metrics = {"rmse": 1.0}
    for bound, value in ((0.0123, "0.0123"), (0.99, "0.99"), (3.0, "unknown"), (np.nan, "unknown")):
        (price,) = [
            headline
            for headline in headlines(make_regression(expected_loss=bound, metrics=metrics))
            if headline.label == "Price of the cutoff"
        ]
        assert price.value == value
        shares = [float(s) for s in re.findall(r"([\d.]+)%", price.meaning)]
        assert all(share <= 100 for share in shares)


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        (0.9995, "99.95%"),
        (0.99999, "99.999%"),
        (1.0, "100%"),
        (0.934, "93.4%"),
        (1.0004, "100.04%"),
    ],
)
def test_almost_all_is_not_all(fraction, text):
    assert format_percent(fraction) == text


def test_each_measure_has_its_caption_and_its_sentence():
    for measure, caption in RIDGE_CAPTIONS.items():
        record = make_regression(measure=measure)
        page = report_html(record)
        assert caption in page
        (other,) = set(RIDGE_CAPTIONS) - {measure}
        assert RIDGE_CAPTIONS[other] not in page
        assert ("acts like noise" in cutoff_sentence(record)) == (measure == "population")
        assert ("decouple" in cutoff_sentence(record)) == (measure == "sample")


def test_an_evidence_that_prefers_fewer_modes_is_explained_with_its_price():
    kept = np.arange(61)
    flow = make_flow(evidence=-np.abs(kept - 12.0), test_error=1 / (1 + kept))
    record = make_regression(flow=flow)
    said = evidence_sentence(record)
    assert "highest at 12 modes, 8 nats above the 20 kept" in said
    assert "0.0769 there and 0.0476 here (--cutoff 12" in said
    assert said in report_html(record).replace("&#x27;", "'")
    assert evidence_sentence(make_regression(flow=make_flow())) == ""  # it prefers more
    flat = make_flow(evidence=-np.abs(kept - 12.0) / 100)
    assert evidence_sentence(make_regression(flow=flat)) == ""  # by less than a nat


def test_baselines_are_those_of_scikit_learn():
    random = np.random.default_rng(0)
    X, new = random.normal(size=(2, 300, 3))
    y, truth = X[:, 0] + random.normal(size=300), new[:, 0] + random.normal(size=300)
    found = Baselines(X, y, (), seed=0)
    found.add(new[:100], truth[:100])
    found.add(new[100:], truth[100:])
    errors = found.errors()
    twin = RidgeCV(np.geomspace(1e-3, 1e5, 17)).fit(X, y).predict(new)
    assert errors["ridge regression"] == pytest.approx(np.sqrt(np.mean((twin - truth) ** 2)))
    mean = np.sqrt(np.mean((truth - y.mean()) ** 2))
    assert errors["the training mean"] == pytest.approx(mean)
    assert errors["ridge regression"] < errors["histogram boosting"] < 1.1 * mean
    labels = (X[:, 0] > 0).astype(int)
    names = np.array(["no", "yes"], dtype=object)
    classes = Baselines(X, labels, ("no", "yes"), seed=0)
    classes.add(new, names[(new[:, 0] > 0).astype(int)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        twin = LogisticRegression(max_iter=200).fit(X, labels).predict(new)
    wrong = np.mean(twin != (new[:, 0] > 0))
    assert classes.errors()["logistic regression"] == pytest.approx(wrong)


def test_who_does_better_is_said():
    better = make_regression(baselines={"the training mean": 4.0, "ridge regression": 0.9})
    assert baseline_sentence(better).endswith("ridge regression does better here.")
    worse = make_regression(baselines={"the training mean": 4.0, "ridge regression": 1.9})
    assert (
        "4 (the training mean) and 1.9 (ridge regression): none does better"
        in baseline_sentence(worse)
    )


def luminance(color):
    channels = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(first, second):
    """Of WCAG 2: 4.5 is what text needs."""
    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_text_stands_out_from_what_is_behind_it():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    style = document("", [])
    light, dark = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    for block in (light, dark):
        color = dict(re.findall(r"--(\w+): (#\w+);", block))
        for ink in ("ink", "soft", "reference"):
            assert contrast(color[ink], color["page"]) >= 4.5, ink
        for ink in ("ink", "soft"):
            assert contrast(color[ink], color["card"]) >= 4.5, ink
        assert contrast(color["page"], color["ink"]) >= 4.5  # the pressed button, the tip
        # Counts in the confusion matrix stand on the darkest shade of the class's colour.
        share = int(SHADE, 16) / 255
        mixed = [
            round(share * int(color["kept"][i : i + 2], 16))
            + round((1 - share) * int(color["page"][i : i + 2], 16))
            for i in (1, 3, 5)
        ]
        assert contrast(color["ink"], "#" + "".join(f"{c:02x}" for c in mixed)) >= 4.5
    assert KEPT in style or "--kept: #0072b2" in style


@pytest.mark.parametrize("top", [1e2, 1e3, 1e4, 3e6, 1e7, 1e9])
@pytest.mark.parametrize("scale", ["linear", "log"])
def test_an_axis_writes_all_its_powers_out_or_none(top, scale):
    from matplotlib.figure import Figure

    from wilsonian.support.axes import tidy_log_axis

    ax = Figure().add_subplot()
    ax.plot([0.01 if scale == "log" else 0, top], [1, 2])
    ax.set_xscale(scale)
    ax.set_xlim(0.01 if scale == "log" else 0, top)
    (tidy_log_axis if scale == "log" else format_ticks)(ax.xaxis)
    low, high = ax.get_xlim()
    ticks = [tick for tick in ax.xaxis.get_majorticklocs() if low <= tick <= high and tick != 0]
    texts = [ax.xaxis.get_major_formatter()(tick, 0) for tick in ticks]
    powers = ["10" in text and any(c in text for c in "⁻⁰¹²³⁴⁵⁶⁷⁸⁹") for text in texts]
    assert all(powers) or not any(powers), texts


def test_names_of_five_thousand_characters_do_not_fill_the_page():
    name = "x" * 5000
    page = report_html(make_regression(target=name, name=name))
    assert name not in page
    assert "x" * 200 not in page


def test_every_figure_says_what_it_shows():
    for record in (make_regression(), make_classification()):
        labels = re.findall(r'role="img" aria-label="([^"]*)"', report_html(record))
        assert len(labels) >= 5
        assert all(re.search(r"\. .*\d", label) for label in labels), labels


def test_the_flow_stands_in_the_page_as_a_table():
    page = report_html(make_regression())
    assert '<table class="flow">' in page
    assert "<td>* 20</td>" in page
