"""List the licences of every distribution in this environment, as Markdown.

    python tools/licences.py

A distribution says its licence as an expression (PEP 639), as a classifier, or in words; one that
says none ends the list with exit code 1.
"""

import sys
from importlib.metadata import Distribution, distributions

PREFIX = "License :: "


def find_licence(distribution: Distribution) -> str:
    """Return what a distribution says of its licence, in one line; empty when it says nothing."""
    told = distribution.metadata
    if "License-Expression" in told:
        return told["License-Expression"]
    classifiers = [c for c in told.get_all("Classifier") or [] if c.startswith(PREFIX)]
    if classifiers:
        return ", ".join(c.rsplit(" :: ", 1)[1] for c in classifiers)
    words = told["License"].strip().splitlines() if "License" in told else []
    return words[0] if words else ""


def main() -> int:
    """Print the table."""
    found = {d.name.lower(): (d.name, d.version, find_licence(d)) for d in distributions()}
    print("| distribution | version | licence |\n|---|---|---|")
    for _, (name, version, licence) in sorted(found.items()):
        print(f"| {name} | {version} | {licence or '**says none**'} |")
    silent = [name for name, _, licence in found.values() if not licence]
    if silent:
        print(f"No licence is stated by: {', '.join(silent)}.", file=sys.stderr)
    return int(bool(silent))


if __name__ == "__main__":
    sys.exit(main())
