from __future__ import annotations

import base64
import hashlib
import json
import re

import pytest

from collision.report.html import Html, document, joined, tag
from collision.report.parts import table
from collision.report.tables import Grid
from tests.kit.pages import Tags

HOSTILE = "</script><script>alert(1)</script>\"'&<!--${x}\0\ud800"


def test_text_is_escaped_everywhere_and_markup_is_kept():
    made = tag("p", HOSTILE, tag("b", "x"), title=HOSTILE, data_of="1", hidden=True, id=None)
    assert made.count("<") == made.count(">") == 4
    assert '<p title="&lt;/script&gt;' in made and "<b>x</b></p>" in made
    assert ' data-of="1" hidden>' in made and " id" not in made
    assert isinstance(joined("<", made), Html) and joined("<", made).startswith("&lt;<p")
    made.encode()  # no half of a letter is left


def test_a_table_of_hostile_cells_has_no_more_elements_than_cells():
    tags = Tags()
    tags.feed(table(Grid(HOSTILE, [HOSTILE], [[HOSTILE], ["1"]])))
    assert tags.open == []
    assert (tags.seen.count("th"), tags.seen.count("td"), tags.seen.count("script")) == (1, 2, 0)
    assert table(Grid("none", ["a"], [])) == ""


def test_data_come_back_and_cannot_end_their_tag():
    content = {HOSTILE.replace("\ud800", ""): [1.25, None, "<!--<script>"]}
    page = document("t", Html(""), data={"mine": content})
    (held,) = re.findall(
        r'<script type="application/json" id="mine">(.*?)</script>', page, re.DOTALL
    )
    assert json.loads(held) == content
    with pytest.raises(ValueError, match="Out of range"):
        document("t", Html(""), data={"mine": float("nan")})


def test_the_policy_allows_the_page_s_own_scripts_and_nothing_from_elsewhere():
    script = "let x = 1;\n"
    page = document("t", scripts=[script])
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert rules["script-src"] == f"'sha256-{digest}'" and f"<script>{script}</script>" in page
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert not re.search(r"https?:|//[a-z]|@import|url\(", page)
    assert "script-src 'none'" in document("t", Html(""))
