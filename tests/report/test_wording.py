import pytest

from equipoise.report.rate import Rate
from equipoise.report.wording import (
    build_answer,
    build_content_warning,
    build_promise,
    format_count,
    format_interval,
    format_number,
    format_percent,
    format_percent_interval,
    format_share,
    format_signed_interval,
    format_title,
    place,
)

FPR = {
    "value": 0.009, "low": 0.004, "high": 0.017, "n": 1170, "promised": 0.01,
    "false_positives": 11, "allowed": [3, 24], "kept": True,
}  # fmt: skip


def test_numbers_keep_their_digits():
    assert format_number(3.0) == "3.00"
    assert format_number(123.4) == "123"
    assert format_number(12345.6) == "12,346"
    assert format_number(-0.05, 2) == "\u22120.050"
    assert format_number(None) == format_share(None) == format_count(None) == "\u2014"


@pytest.mark.parametrize(
    ("share", "text"), [(0.01, "1"), (0.0094, "0.9"), (0.00024, "0.024"), (0, "0"), (1, "100")]
)
def test_shares_read_as_percent(share, text):
    assert format_percent(share) == f"{text}\u00a0%"


def test_intervals_join_with_a_dash_and_signed_ones_with_to():
    assert format_interval(Rate(0.9, 0.85, 0.95)) == "0.850\u20130.950"
    assert format_percent_interval(Rate(0.009, 0.004, 0.017)) == "0.4\u20131.7\u00a0%"
    assert format_signed_interval(Rate(0.2, 0.1, 0.3)) == "+0.100 to +0.300"
    assert format_interval(Rate(0.9)) == "no interval"


def test_many_flags_mean_yes():
    word, text = build_answer({"verdicts": {"memorized": 561}, "fpr": FPR}, num_outputs=1800)
    assert word == "Yes"
    assert text.replace("\u00a0", " ") == (
        "561 of 1,800 fresh outputs are flagged as memorized, at a promised false-positive rate "
        "of 1 % (measured 0.9 %, 95 % interval 0.4\u20131.7 %, n = 1,170)."
    )


def test_no_more_flags_than_mistakes_explain_mean_no():
    word, text = build_answer({"verdicts": {"memorized": 30}, "fpr": FPR}, num_outputs=1800)
    assert word == "No"
    assert "explains (measured" in text


def test_without_verdicts_nothing_is_decided():
    assert build_answer({}, num_outputs=9)[0] == "Not decided"


def test_an_unmeasured_rate_falls_back_to_the_calibration():
    results = {"verdicts": {"memorized": 9}, "fpr": None, "calibration": {"promised": 0.01}}
    word, text = build_answer(results, num_outputs=9)
    assert word == "Yes"
    assert text.endswith("(not measured here).")


def test_a_broken_promise_is_told():
    broken = FPR | {"kept": False, "false_positives": 40}
    assert build_promise({"fpr": broken}).startswith("The promise was not kept: 40 of 1,170")
    assert build_promise({"fpr": None}) == build_promise({"fpr": FPR | {"allowed": [1]}}) == ""


def test_content_is_told_with_the_figures_of_the_twin():
    text = build_content_warning(Rate(0.71, 0.66, 0.76), Rate(0.2, 0.15, 0.25))
    assert text.startswith("Partly content: ")
    assert "0.710 (0.660\u20130.760)" in text
    assert "+0.200 (+0.150 to +0.250)" in text


def test_names_become_titles():
    assert format_title("jpeg_size") == "JPEG size"
    assert format_title("total_variation") == "Total variation"


def test_places_stay_on_the_scale():
    assert place(0.5, 0, 1) == "50.00%"
    assert place(3, 0, 1) == "100.00%"
    assert place(-3, 0, 1) == "0.00%"
