"""Copy the pictures of the emoji scenes out of their two npm packages, with a list of sources.

    npm pack emoji-datasource-google@16.0.0 && tar -xzf emoji-datasource-google-16.0.0.tgz
    (move `package` to FOLDER/google; the same for twitter)
    python benchmarks/fetch_emoji.py FOLDER

Files are copied byte for byte, so that a second run writes what is committed.
"""

import hashlib
import json
import sys
from pathlib import Path

VERSION = "16.0.0"
LICENCES = {
    "google": "Apache-2.0, Noto Emoji, Copyright Google LLC",
    "twitter": "CC-BY-4.0, Twemoji, Copyright Twitter, Inc. and other contributors",
}
# noun: the short name in the package, where it is another word
NOUNS = {
    "apple": "apple", "banana": "banana", "grapes": "grapes", "watermelon": "watermelon",
    "pineapple": "pineapple", "cherries": "cherries", "strawberry": "strawberry", "pear": "pear",
    "carrot": "carrot", "mushroom": "mushroom", "pizza": "pizza", "hamburger": "hamburger",
    "cat": "cat", "dog": "dog", "pig": "pig", "frog": "frog", "panda": "panda_face",
    "penguin": "penguin", "fish": "fish", "snail": "snail", "turtle": "turtle",
    "fox": "fox_face", "owl": "owl", "ladybug": "ladybug", "car": "car", "airplane": "airplane",
    "rocket": "rocket", "tractor": "tractor", "house": "house", "tent": "tent",
    "umbrella": "umbrella", "bell": "bell", "key": "key", "lock": "lock", "gift": "gift",
    "guitar": "guitar", "camera": "camera", "trophy": "trophy", "crown": "crown", "bomb": "bomb",
    "cactus": "cactus", "rose": "rose", "tree": "evergreen_tree", "star": "star",
    "moon": "crescent_moon", "heart": "heart", "skull": "skull", "pumpkin": "jack_o_lantern",
}  # fmt: skip
SOURCES = Path(__file__).parent.parent / "src" / "equipoise" / "zoo" / "models" / "emoji"


def main(packages: Path) -> None:
    """Copy what `NOUNS` names from both unpacked packages."""
    rows = [row for vendor in LICENCES for row in copy_vendor(packages, vendor)]
    record = {"nouns": list(NOUNS), "licences": LICENCES, "pictures": rows}
    (SOURCES / "sources.json").write_text(json.dumps(record, indent=1) + "\n")


def copy_vendor(packages: Path, vendor: str) -> list[dict[str, str]]:
    """Copy the pictures of one vendor, and say where each came from."""
    package = packages / vendor / "package"
    known = {row["short_name"]: row for row in json.loads((package / "emoji.json").read_text())}
    (SOURCES / vendor).mkdir(parents=True, exist_ok=True)
    rows = []
    for noun, short_name in NOUNS.items():
        image = known[short_name]["image"]
        raw = (package / "img" / vendor / "64" / image).read_bytes()
        (SOURCES / vendor / f"{noun}.png").write_bytes(raw)
        rows.append({
            "noun": noun,
            "vendor": vendor,
            "code_point": known[short_name]["unified"],
            "package": f"emoji-datasource-{vendor}@{VERSION}",
            "file": f"img/{vendor}/64/{image}",
            "sha256": hashlib.sha256(raw).hexdigest(),
        })  # fmt: skip
    return rows


if __name__ == "__main__":
    main(Path(sys.argv[1]))
