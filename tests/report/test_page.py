from __future__ import annotations

from collision.report.page import Code, Heading, Text, as_html_page
from collision.report.tables import Grid
from tests.kit.pages import Tags


def test_the_name_of_a_warning_is_bold_on_the_page() -> None:
    page = as_html_page([Text("**leaks**: a < b and 2 ** 3, see `collision data`")])
    assert "<strong>leaks</strong>: a &lt; b and 2 ** 3, see <code>collision data</code>" in page


def test_names_of_files_become_no_html_link_or_picture() -> None:
    name = "![x](http://a.b/c.png) [y](http://a.b) <http://a.b> <img src=x> &amp; a|b\\"
    tags = Tags()
    tags.feed(as_html_page([Heading(name), Text(name), Grid("t", [name], [[name]]), Code(name)]))
    assert not {"img", "a"} & set(tags.seen)
    assert tags.seen.count("th") == tags.seen.count("td") == 1
    assert tags.text.count("http://a.b/c.png") == 6  # in the page's title too
