"""Numbers and sentences as the page says them.

A missing number is a dash, never "None"; an interval stands beside every rate. Sentences with
markup are in the templates.
"""

from collections.abc import Callable, Mapping
from typing import Any

from equipoise.report.rate import Rate, get_list, get_mapping, get_number, get_rate

Number = float | int | None
"""Templates pass whole numbers too."""
DASH, MISSING, SPACE, MINUS = "\u2013", "\u2014", "\u00a0", "\u2212"


def format_number(number: Number, digits: int = 3) -> str:
    """Write a number with so many significant digits."""
    if number is None:
        return MISSING
    text = f"{number:,.0f}" if abs(number) >= 1000 else f"{number:#.{digits}g}".removesuffix(".")
    return text.replace("-", MINUS, 1) if number < 0 else text


def format_share(number: Number) -> str:
    """Write a number between -1 and 1 with three decimals."""
    return MISSING if number is None else f"{number:.3f}".replace("-", MINUS)


def format_signed(number: Number) -> str:
    """Write a difference with its sign."""
    return MISSING if number is None else f"{number:+.3f}".replace("-", MINUS)


def format_percent(number: Number) -> str:
    """Write a share as a percentage."""
    return MISSING if number is None else f"{_build_percent(number)}{SPACE}%"


def format_count(number: Number) -> str:
    """Write a whole number with thousands set apart."""
    return MISSING if number is None else f"{number:,.0f}"


def format_seconds(number: Number) -> str:
    """Write a duration in seconds."""
    return MISSING if number is None else f"{number:,.1f}{SPACE}s"


def format_interval(rate: Rate, write: Callable[[Number], str] = format_share) -> str:
    """Write the 95 % interval of a rate, ends joined by a dash (by "to" where they have signs)."""
    if rate.low is None or rate.high is None:
        return "no interval"
    low, high = write(rate.low), write(rate.high)
    if write is format_signed or rate.low < 0:
        return f"{low} to {high}"
    return f"{low.removesuffix(f'{SPACE}%')}{DASH}{high}"


def format_percent_interval(rate: Rate) -> str:
    """Write the interval of a share in percent."""
    return format_interval(rate, format_percent)


def format_signed_interval(rate: Rate) -> str:
    """Write the interval of a difference."""
    return format_interval(rate, format_signed)


def format_words(name: object) -> str:
    """Write a name of the record as words."""
    return MISSING if name is None else str(name).replace("_", " ").replace("jpeg", "JPEG")


def format_title(name: object) -> str:
    """Write a name of the record as words, the first letter a capital."""
    words = format_words(name)
    return words[:1].upper() + words[1:]


def format_visible(text: object) -> str:
    """Write foreign text so that nothing in it hides or moves what stands around it.

    Control, bidirectional, invisible and unassigned characters, and blanks other than the space,
    become escapes as in Python; the backslash is doubled, so that two texts never look alike.
    """
    if text is None:
        return MISSING
    return "".join(
        sign if sign.isprintable() and sign != "\\" else sign.encode("unicode_escape").decode()
        for sign in str(text)
    )


def place(number: float | int, floor: float | int, top: float | int) -> str:
    """Place a number on a scale, in percent of its width, for the small interval bars."""
    share = (number - floor) / (top - floor)
    return f"{100 * min(max(share, 0.0), 1.0):.2f}%"


def build_answer(results: Mapping[str, Any], *, num_outputs: int) -> tuple[str, str]:
    """Answer "does this model copy its training data?" in one sentence.

    Returns:
        The first word (Yes, No, Not decided) and the rest of the sentence.
    """
    flagged = get_number(get_mapping(results.get("verdicts")).get("memorized"))
    fpr = get_mapping(results.get("fpr"))
    promised = get_promised(results)
    if flagged is None or promised is None:
        return "Not decided", "this run has no calibrated verdicts; its scores only rank outputs."
    explained = flagged <= _count_explained(fpr, promised, num_outputs)
    text = f"{format_count(flagged)} of {format_count(num_outputs)} fresh outputs are flagged"
    if not explained:
        text += f" as memorized, at a promised false-positive rate of {format_percent(promised)}"
        return "Yes", f"{text} ({_build_measured(fpr)})."
    text += f" as memorized, which the promised false-positive rate of {format_percent(promised)}"
    return "No", f"{text} explains ({_build_measured(fpr)})."


def get_promised(results: Mapping[str, Any]) -> float | None:
    """Read the promised false-positive rate, from its measurement or from the calibration."""
    entries = (get_mapping(results.get(key)) for key in ("fpr", "calibration"))
    promised = [get_number(entry.get("promised")) for entry in entries]
    return promised[1] if promised[0] is None else promised[0]


def build_promise(results: Mapping[str, Any]) -> str:
    """Say whether the promised false-positive rate was kept; empty where it was not measured."""
    fpr = get_mapping(results.get("fpr"))
    counts = [get_number(fpr.get(key)) for key in ("false_positives", "n")]
    allowed = [get_number(end) for end in get_list(fpr.get("allowed"))]
    if None in (*counts, *allowed, fpr.get("kept")) or len(allowed) != 2:
        return ""
    low, high = map(format_count, allowed)
    kept = "The promise was kept" if fpr["kept"] else "The promise was not kept"
    found, n = map(format_count, counts)
    return f"{kept}: {found} of {n} negatives are flagged; {low} to {high} are allowed."


def build_content_warning(twin: Rate, difference: Rate) -> str:
    """Say that part of the score reads content, with the figures of the clean twin."""
    return (
        f"Partly content: the clean twin, trained with each image once, has AUROC "
        f"{format_share(twin.value)} ({format_interval(twin)}) on the same images; planted minus "
        f"twin is {format_signed(difference.value)} ({format_signed_interval(difference)})."
    )


def _build_measured(fpr: Mapping[str, Any]) -> str:
    rate = get_rate(fpr)
    if rate.value is None:
        return "not measured here"
    n = format_count(rate.n)
    interval = format_percent_interval(rate)
    measured = format_percent(rate.value)
    return f"measured {measured}, 95{SPACE}% interval {interval}, n{SPACE}={SPACE}{n}"


def _count_explained(fpr: Mapping[str, Any], promised: float, num_outputs: int) -> float:
    """Count how many flags false positives alone could explain, were every output novel."""
    n = get_number(fpr.get("n"))
    top = get_number([None, *get_list(fpr.get("allowed"))][-1])
    if top is None or not n:
        return 2 * promised * num_outputs
    return top / n * num_outputs


def _build_percent(number: float | int) -> str:
    percent = 100 * number
    text = f"{percent:.2g}" if 0 < abs(percent) < 0.1 else f"{percent:.1f}".removesuffix(".0")
    return text.replace("-", MINUS)


FILTERS: Mapping[str, Callable[..., str]] = {
    "number": format_number, "share": format_share, "signed": format_signed,
    "percent": format_percent, "count": format_count, "seconds": format_seconds,
    "interval": format_interval, "percent_interval": format_percent_interval,
    "signed_interval": format_signed_interval, "words": format_words, "titled": format_title,
    "visible": format_visible,
}  # fmt: skip
"""What templates may write numbers with."""
