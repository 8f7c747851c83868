import pytest

from equipoise.report.item import STATES
from equipoise.report.statement import (
    build_answer,
    build_copy_rate,
    build_error_rate,
    build_labels,
    build_limit,
    build_model_answer,
    build_model_note,
    build_points,
    build_sum,
    build_undecided,
    build_warnings,
    is_beyond,
)

EXPECTED = {"value": 30.0, "low": 16, "high": 47, "n": 3000}
CALIBRATION = {
    "n": 4426, "null": "generated and novel", "promised": 0.01,
    "achieved": {"low": 0.0072, "high": 0.0131},
}  # fmt: skip


def count(**found):
    return dict.fromkeys(STATES, 0) | found


def plain(text):
    return text.replace("\u00a0", " ")


def say(results, counts):
    answer = build_answer(results, counts)
    return answer.tone, plain(f"{answer.start} {answer.rest}")


def test_more_flags_than_false_alarms():
    assert say({"expected_false_flags": EXPECTED}, count(memorized=213, not_memorized=2787)) == (
        "warm",
        "213 of 3,000 images are flagged as memorized; false alarms alone would explain 16 to 47.",
    )


def test_no_more_flags_than_false_alarms_is_no_finding():
    counts = count(memorized=47, not_memorized=2953, failed=2)
    tone, text = say({"expected_false_flags": EXPECTED}, counts)
    assert tone == "cool"
    assert text.startswith("47 of 3,000 scored images are flagged")
    assert not is_beyond({"expected_false_flags": EXPECTED}, 47)
    assert is_beyond({"expected_false_flags": EXPECTED}, 48)
    assert is_beyond({}, 0)


def test_one_and_none():
    expected = {"expected_false_flags": {"low": 0, "high": 0}}
    assert say(expected, count(memorized=1, not_memorized=4))[1] == (
        "1 of 5 images is flagged as memorized; false alarms alone would explain 0."
    )
    assert say(expected, count(not_memorized=5))[1].startswith("None of 5 images is flagged")


def test_there_may_be_no_answer():
    assert say({}, count(failed=4)) == ("muted", "No answer: none of 4 images has a score.")
    assert "ranked only" in say({}, count(unjudged=4, failed=1))[1]
    assert say({}, count(memorized=2))[1].endswith("how many by mistake is not known.")


def test_a_copy_rate_without_known_copies_has_no_upper_end():
    known = {"copy_rate": {"value": 0.12, "low": 0.08, "high": 0.2}}
    assert plain(build_copy_rate(known)).startswith("12 % of the images are copies (95 % interval")
    lower = build_copy_rate({"copy_rate": {"value": None, "low": 0.08, "high": None}})
    assert plain(lower).startswith("At least 8 % of the images are copies")
    assert "no upper end" in lower
    zero = build_copy_rate({"copy_rate": {"value": None, "low": 0.0, "high": None}})
    assert zero.startswith("None is shown to be a copy")
    assert build_copy_rate({}) == "Not estimated."


def test_what_a_clean_audit_could_not_have_seen():
    results = {"expected_false_flags": EXPECTED, "detection_limit": 27 / 3000}
    clean = build_limit(results, count(memorized=20, not_memorized=2980))
    assert "It could not have seen fewer than 27 of 3,000." in clean
    found = build_limit(results, count(memorized=200, not_memorized=2800))
    assert "fewer than 27 of 3,000 could have passed unnoticed" in found
    assert build_limit({"detection_limit": None}, count(memorized=1)).startswith("Not known.")


def test_the_limit_is_a_whole_number_of_copies():
    for copies in range(1, 998):
        text = build_limit({"detection_limit": copies / 997}, count(memorized=997))
        assert f"fewer than {copies} of 997" in text


@pytest.mark.parametrize("limit", [-1e308, 1e308])
def test_a_limit_out_of_range_is_brought_back(limit):
    assert "of 997" in build_limit({"detection_limit": limit}, count(memorized=997))


def test_the_error_rate_says_of_what():
    text = plain(build_error_rate({"calibration": CALIBRATION}))
    assert text == (
        "1 % of images that this model makes and that copy nothing are flagged by mistake (in the "
        "long run 0.7\u20131.3 %, 95 % interval). Set on 4,426 of them; it holds for such images "
        "only."
    )
    for null, words in {
        "held-out real": "real images that the model was not trained on",
        "own outputs": "fresh outputs of this model",
        "evil\u202e": "\u201cevil\\u202e\u201d",
        None: "images of unknown kind",
    }.items():
        assert words in build_error_rate({"calibration": CALIBRATION | {"null": null}})
    assert build_error_rate({}) == "No error rate was promised."


def test_what_is_not_decided_is_counted():
    text = build_undecided(count(memorized=3, inconclusive=41, failed=18))
    assert text == "41 inconclusive, 18 failed and never scored. None of these is cleared."
    assert build_undecided(count(memorized=1)).endswith("Every image was decided.")
    assert "2 without a verdict" in build_undecided(count(unjudged=2))


def test_labels_speak_of_the_flagged_only_where_training_images_were_given():
    training = {
        "images": 5000, "failed": 2, "labels": {"copy": 210, "grey": 30, "novel": 60},
    }  # fmt: skip
    text = build_labels({"training": training})
    assert "210 copy one of the 5,000 training images given (2 could not be read)" in text
    assert "60 are far from all of them" in text
    assert build_labels({"training": None}) == ""
    assert len(build_points({"training": training}, count(memorized=1))) == 5
    assert len(build_points({}, count(memorized=1))) == 4


@pytest.mark.parametrize(
    ("p_value", "difference", "text"),
    [(0.0001, 0.42, "Yes: training images score higher by 0.420 on average (p = 0.00010)."),
     (0.05, -0.42, "Yes: training images score lower by 0.420 on average (p = 0.050)."),
     (0.051, 0.42, "Not shown: the test found no difference (p = 0.051)."),
     (0.01, None, "Yes: their scores differ (p = 0.010)."),
     (None, 0.42, "No answer: the test has no p-value.")],
)  # fmt: skip
def test_the_answer_about_the_model(p_value, difference, text):
    answer = build_model_answer({"p_value": p_value, "difference": difference})
    assert plain(f"{answer.start} {answer.rest}") == text


def test_the_test_of_the_model_is_described():
    note = build_model_note(
        {"n_training": 1000, "n_held_out": 900, "permutations": 9999,
         "auroc": {"value": 0.71, "low": 0.68, "high": 0.74}}
    )  # fmt: skip
    assert "1,000 training images against 900 held-out ones, 9,999 random relabelings" in note
    assert "AUROC 0.710, 95\u00a0% interval 0.680 to 0.740" in note
    assert "AUROC" not in build_model_note({})


def test_a_record_that_its_items_contradict_is_a_warning():
    counts = count(memorized=3, not_memorized=5, failed=1)
    honest = {"items": 9, "failed": 1, "verdicts": {"memorized": 3, "not_memorized": 5}}
    assert build_warnings(honest | {"warnings": ["a\u202eb"]}, counts) == ["a\\u202eb"]
    forged = honest | {"items": 10, "verdicts": {"memorized": 0, "opera": 3}}
    [warning] = build_warnings(forged, counts)
    assert "memorized 0 against 3, items 10 against 9" in warning


def test_too_few_flags_are_a_warning():
    results = {"expected_false_flags": EXPECTED}
    assert "Fewer images are flagged" in build_warnings(results, count(memorized=15))[0]
    assert build_warnings(results, count(memorized=16)) == []


def test_the_sum_gives_all_items():
    assert build_sum(count(memorized=213, inconclusive=41, not_memorized=2728, failed=18)) == (
        "213 memorized + 41 inconclusive + 2,728 not memorized + 18 failed = 3,000 items"
    )
    assert "+ 1 unjudged +" in build_sum(count(unjudged=1))
