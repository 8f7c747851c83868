"""What an audit says, in sentences: first of the images, then, apart from it, of the model.

Every rate stands with its interval and with what it holds for. What was not measured is said to
be unknown, never left out. Foreign text passes through `format_visible`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from equipoise.report.item import STATES
from equipoise.report.rate import Rate, get_count, get_list, get_mapping, get_number, get_rate
from equipoise.report.wording import (
    SPACE,
    format_count,
    format_number,
    format_percent,
    format_percent_interval,
    format_share,
    format_visible,
    format_words,
)

LEVEL = 0.05
"""The model is said to differ on its training images from this p-value down."""
CONFIDENCE = f"95{SPACE}%"

OWN = "own outputs"
NULLS: Mapping[str, str] = {
    "generated and novel": "images that this model makes and that copy nothing",
    "held-out real": "real images that the model was not trained on",
    OWN: "fresh outputs of this model",
}
"""What the images of each kind of calibration are."""


@dataclass(frozen=True)
class Answer:
    """One sentence, whose first words stand out."""

    tone: str
    start: str
    rest: str


@dataclass(frozen=True)
class Point:
    """One thing to know beside the answer: its name and what is said of it."""

    name: str
    text: str


def build_answer(results: Mapping[str, Any], counts: Mapping[str, int]) -> Answer:
    """Answer "how many of these images are copies, and how sure is that?" in one sentence."""
    scored = count_scored(counts)
    total = scored + counts["failed"]
    if not scored:
        return Answer("muted", "No answer:", f"none of {format_count(total)} images has a score.")
    if counts["unjudged"] == scored:
        rest = f"{format_count(scored)} images are ranked only; nothing was calibrated."
        return Answer("muted", "No answer:", rest)
    flagged = counts["memorized"]
    start = f"{format_count(flagged) if flagged else 'None'} of {format_count(scored)}"
    kind = "scored images" if counts["failed"] else "images"
    verb = "is" if flagged < 2 else "are"
    rest = f"{kind} {verb} flagged as memorized"
    expected = get_rate(results.get("expected_false_flags"))
    if expected.low is None or expected.high is None:
        return Answer("muted", start, f"{rest}; how many by mistake is not known.")
    tone = "warm" if is_beyond(results, flagged) else "cool"
    alarms = f"false alarms alone would explain {_join(expected)}"
    return Answer(tone, start, f"{rest}; {alarms}.")


def is_beyond(results: Mapping[str, Any], flagged: int) -> bool:
    """Whether more is flagged than false alarms alone explain; unknown counts as yes."""
    high = get_rate(results.get("expected_false_flags")).high
    return high is None or flagged > high


def count_scored(counts: Mapping[str, int]) -> int:
    """Count the items that have a score."""
    return sum(counts[state] for state in STATES) - counts["failed"]


def build_points(results: Mapping[str, Any], counts: Mapping[str, int]) -> list[Point]:
    """List what has to be known beside the answer."""
    points = [
        Point("Copy rate", build_copy_rate(results)),
        Point("Could have missed", build_limit(results, counts)),
        Point("Not decided", build_undecided(counts)),
        Point("False alarms", build_error_rate(results)),
    ]
    labels = build_labels(results)
    return [*points, Point("By distance", labels)] if labels else points


def build_copy_rate(results: Mapping[str, Any]) -> str:
    """Say which share of the images are copies, as far as that was measured."""
    rate = get_rate(results.get("copy_rate"))
    if rate.low is None:
        return "Not estimated."
    if rate.value is None or rate.high is None:
        shown = f"At least {format_percent(rate.low)} of the images are copies"
        return (
            f"{shown if rate.low else 'None is shown to be a copy'} (lower end of a {CONFIDENCE} "
            "interval). There is no upper end: how many copies this detector misses was not "
            "measured."
        )
    return (
        f"{format_percent(rate.value)} of the images are copies ({CONFIDENCE} interval "
        f"{format_percent_interval(rate)}): the flagged share, corrected for false alarms and "
        "for copies that the detector misses."
    )


def build_limit(results: Mapping[str, Any], counts: Mapping[str, int]) -> str:
    """Say how little copying this audit would have noticed, and what it could not have seen."""
    limit = get_number(results.get("detection_limit"))
    scored = count_scored(counts)
    if limit is None:
        return (
            "Not known. The calibration holds no known copies, or too few, so nobody measured how "
            "many this detector misses; few flags do not show that there are few copies."
        )
    limit = min(max(limit, 0.0), 1.0)
    least = math.ceil(limit * scored - 1e-6)  # the limit is a whole number of copies over `scored`
    fewer = f"fewer than {format_count(least)} of {format_count(scored)}"
    if is_beyond(results, counts["memorized"]):
        return (
            f"A copy rate of {format_percent(limit)} or more is told from false alarms in "
            f"{CONFIDENCE} of audits of this size; {fewer} could have passed unnoticed."
        )
    return (
        f"Copies may be there, but not many: from {format_percent(limit)} on they would have been "
        f"noticed in {CONFIDENCE} of audits of this size. It could not have seen {fewer}."
    )


def build_undecided(counts: Mapping[str, int]) -> str:
    """Say how many images are neither flagged nor cleared."""
    pieces = [f"{format_count(counts['inconclusive'])} inconclusive"]
    if counts["unjudged"]:
        pieces.append(f"{format_count(counts['unjudged'])} without a verdict")
    pieces.append(f"{format_count(counts['failed'])} failed and never scored")
    none = not (counts["inconclusive"] + counts["unjudged"] + counts["failed"])
    last = "Every image was decided." if none else "None of these is cleared."
    return f"{', '.join(pieces)}. {last}"


def build_error_rate(results: Mapping[str, Any]) -> str:
    """Say in plain words what the promised error rate is a rate of."""
    calibration = get_mapping(results.get("calibration"))
    promised = get_number(calibration.get("promised"))
    if promised is None:
        return "No error rate was promised."
    null = calibration.get("null")
    achieved = get_rate(calibration.get("achieved"))
    interval = ""
    if achieved.low is not None and achieved.high is not None:
        interval = f" (in the long run {format_percent_interval(achieved)}, {CONFIDENCE} interval)"
    copies = " Copies among them only make the threshold stricter." if null == OWN else ""
    return (
        f"{format_percent(promised)} of {_describe_null(null)} are flagged by mistake{interval}. "
        f"Set on {format_count(get_count(calibration.get('n')))} of them; it holds for such "
        f"images only.{copies}"
    )


def build_labels(results: Mapping[str, Any]) -> str:
    """Say what the nearest training images tell of the flagged ones; empty if none were given."""
    training = get_mapping(results.get("training"))
    if not training:
        return ""
    labels = get_mapping(training.get("labels"))
    copy, grey, novel = (format_count(get_count(labels.get(k))) for k in ("copy", "grey", "novel"))
    failed = get_count(training.get("failed"))
    unread = f" ({format_count(failed)} could not be read)" if failed else ""
    return (
        f"Of the flagged, {copy} copy one of the {format_count(get_count(training.get('images')))}"
        f" training images given{unread}, {grey} lie between, {novel} are far from all of them: "
        "false alarms, or copies of something else."
    )


def build_model_answer(permutation: Mapping[str, Any]) -> Answer:
    """Answer whether the model treats its training images differently from held-out ones."""
    p_value = get_number(permutation.get("p_value"))
    difference = get_number(permutation.get("difference"))
    if p_value is None:
        return Answer("muted", "No answer:", "the test has no p-value.")
    p = f"p{SPACE}={SPACE}{format_number(p_value, 2)}"
    if p_value > LEVEL:
        return Answer("cool", "Not shown:", f"the test found no difference ({p}).")
    if difference is None:
        return Answer("warm", "Yes:", f"their scores differ ({p}).")
    side = "higher" if difference > 0 else "lower"
    size = format_number(abs(difference))
    return Answer("warm", "Yes:", f"training images score {side} by {size} on average ({p}).")


def build_model_note(permutation: Mapping[str, Any]) -> str:
    """Say how the model was tested."""
    training, held_out, relabelings = (
        format_count(get_count(permutation.get(key)))
        for key in ("n_training", "n_held_out", "permutations")
    )
    auroc = get_rate(permutation.get("auroc"))
    told = ""
    if auroc.value is not None:
        interval = ""
        if auroc.low is not None and auroc.high is not None:
            interval = f", {CONFIDENCE} interval {format_share(auroc.low)} to "
            interval += format_share(auroc.high)
        told = f" One is told from the other with AUROC {format_share(auroc.value)}{interval}."
    return (
        f"Permutation test of {training} training images against {held_out} held-out ones, "
        f"{relabelings} random relabelings.{told}"
    )


def build_warnings(results: Mapping[str, Any], counts: Mapping[str, int]) -> list[str]:
    """Add to the warnings of the job what speaks against the page itself."""
    warnings = [format_visible(entry) for entry in get_list(results.get("warnings"))]
    recorded = dict(get_mapping(results.get("verdicts")))
    recorded |= {name: results.get(name) for name in ("items", "failed")}
    found = dict(counts) | {"items": sum(counts.values())}
    told = {name: get_count(entry) for name, entry in recorded.items() if name in found}
    wrong = [
        f"{format_words(name)} {format_count(count)} against {format_count(found[name])}"
        for name, count in told.items()
        if count not in (None, found[name])
    ]
    if wrong:
        warnings.append(
            "The record and the items of this run do not agree; this page counts the items. "
            f"Record against items: {', '.join(wrong)}. The folder was changed or is incomplete."
        )
    low = get_rate(results.get("expected_false_flags")).low
    if low is not None and counts["memorized"] < low:
        warnings.append(
            "Fewer images are flagged than false alarms alone would give: they may be of "
            "another kind than those of the calibration, and copies among them may go unnoticed."
        )
    return warnings


def build_sum(counts: Mapping[str, int]) -> str:
    """Write the states as a sum that gives all items."""
    names = [name for name in STATES if counts[name] or name != "unjudged"]
    terms = " + ".join(f"{format_count(counts[name])} {format_words(name)}" for name in names)
    return f"{terms} = {format_count(sum(counts.values()))} items"


def _join(rate: Rate) -> str:
    low, high = format_count(rate.low), format_count(rate.high)
    return low if low == high else f"{low} to {high}"


def _describe_null(null: object) -> str:
    """Say what the calibration images are."""
    if isinstance(null, str) and null in NULLS:
        return NULLS[null]
    return "images of unknown kind" if null is None else f"\u201c{format_visible(null)}\u201d"
