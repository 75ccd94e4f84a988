"""A page of a record shows what was said, runs nothing and asks for nothing."""

import html
import re

import nbformat
import pytest

from oet_kernel.records import About, build
from oet_kernel.records.page import HEADER, POLICY, clean_html, to_html
from oet_kernel.records.parts import encode
from tests.records.conftest import summary_in
from tests.records.hostile import HTML, displays

HARM = re.compile(
    r"<(script|style|iframe|object|embed|svg|meta|base|link|form|input|button|video)\b|\son\w+=|javascript:|site\.test",
    re.IGNORECASE,
)


def page_of(script):
    return to_html(encode(build(summary_in("COMPLETE"), script.events, About())), "Procedure 3").decode()


@pytest.mark.parametrize("line", ["\x1b[31mred\x1b[0m\n", "\x1b[31mred\x1b[39m\n", "plain \x1b[1;31mred\x1b[m \n"])
def test_much_coloured_text_has_all_its_colours_on_the_page(script, line):
    script.write(line * 20_000)
    page = page_of(script)
    assert len(re.findall(r'class="ansi-red-[^"]*">red</span>', page)) == 20_000


@pytest.mark.parametrize("text", ["x" * 30_000, "\x1b[31m" + "red" * 10_000, "a\r\n" * 10_000, "<&>\x1b[0m" * 5000])
def test_text_of_any_length_is_whole_on_the_page(script, text):
    script.write(text)
    page = page_of(script)
    shown = re.search(r'data-mime-type="text/plain"[^>]*>\s*<pre>(.*?)</pre>', page, re.DOTALL)[1]
    plain = html.unescape(re.sub(r"<[^>]*>", "", shown))
    assert plain.replace("\r", "").strip() == re.sub(r"\x1b\[\d*m", "", text).replace("\r", "").strip()


@pytest.mark.parametrize("kind", HTML)
def test_nothing_that_runs_or_loads_is_left_of_html(kind):
    assert HARM.search(clean_html(HTML[kind])) is None


def test_page_has_no_script_and_no_address_of_another_site(script):
    script.load()
    for data, metadata in displays():
        script.say("procedure.output.display", call="main", data=data, metadata=metadata)
    page = page_of(script)
    head, _, body = page.partition("<body")
    assert f'<meta content="{POLICY}" http-equiv="Content-Security-Policy"' in head
    assert head.index("Content-Security-Policy") < head.index("<style")
    assert "<script" not in page
    assert re.search(r"""(src|action|poster)=["']?(https?:)?//""", page) is None
    assert re.search(r"<[a-z][^>]*\son\w+=", body) is None
    assert "[application/javascript: not shown on a page; see the notebook]" in page


def test_policy_allows_no_script_and_no_address():
    assert HEADER.startswith("sandbox; ")
    allowed = dict(one.split(" ", 1) for one in POLICY.split("; "))
    assert allowed["default-src"] == "'none'"
    assert not {"script-src", "connect-src", "frame-src", "object-src"} & set(allowed)
    assert not any("http" in source or "*" in source for source in allowed.values())


def test_what_a_reader_needs_stays():
    table = (
        '<table class="dataframe" border="1"><thead><tr style="text-align:right"><th>a</th></tr></thead>'
        '<tbody><tr><td rowspan="2">1</td></tr></tbody></table>'
    )
    assert clean_html(table) == table
    picture = '<img src="data:image/png;base64,iVBO" width="3">'
    assert clean_html(picture) == picture
    assert 'href="https://example.org/x"' in clean_html('<a href="https://example.org/x">x</a>')


def test_mathematics_and_titles_of_a_notebook_stay_text(script):
    script.show({"text/latex": "$a < b$"})
    node = build(summary_in("COMPLETE"), script.events, About())
    node.metadata["title"] = "</title><script>x</script>"
    page = to_html(nbformat.writes(node).encode(), "Procedure 3").decode()
    assert "$a &lt; b$" in page
    assert "<script" not in page
