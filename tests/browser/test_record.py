"""The page of a record in a browser: whatever its script has displayed, nothing of it runs, and no request leaves."""

import shutil

import pytest

from oet_kernel.records import About, build
from oet_kernel.records.page import HEADER, to_html
from oet_kernel.records.parts import encode
from tests.records.conftest import Script, summary_in
from tests.records.hostile import HTML, displays

sync_api = pytest.importorskip("playwright.sync_api")

CHROMIUM = shutil.which("chromium")
ARGUMENTS = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking")
ADDRESS = "http://service.test/record"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium; apt-get install chromium")


def page_of(displayed):
    script = Script()
    script.load()
    for data, metadata in displayed:
        script.show(data) if not metadata else script.say(
            "procedure.output.display", call="main", data=data, metadata=metadata
        )
    script.write("said last\n")
    return to_html(encode(build(summary_in("COMPLETE"), script.events, About())), "Procedure 3")


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


def answering(address, data, asked):
    """Answer requests, and list them: the page with its header, or from its file where there are no data."""

    def answer(route):
        asked.append(route.request.url)
        if route.request.url != address:
            route.fulfill(body="window.ran = 1", headers={"Access-Control-Allow-Origin": "*"})
        elif data is None:
            route.continue_()
        else:
            route.fulfill(body=data, headers={"Content-Type": "text/html", "Content-Security-Policy": HEADER})

    return answer


@pytest.mark.parametrize("way", ["file", "service"])
def test_record_of_a_hostile_script_runs_nothing_and_asks_for_nothing(browser, tmp_path, way):
    # each ending that swallows what follows it would hide the others
    swallowing = ("ends", "text", "mathematics")
    pages = [[({"text/html": HTML[kind]}, {})] for kind in swallowing]
    pages.append([one for one in displays() if one[0].get("text/plain") not in swallowing])
    for number, displayed in enumerate(pages):
        data = page_of(displayed)
        path = tmp_path / f"{number}.html"
        path.write_bytes(data)
        address = path.as_uri() if way == "file" else ADDRESS
        page = browser.new_page()
        asked = []

        page.route("**/*", answering(address, data if way == "service" else None, asked))
        page.goto(address, wait_until="networkidle")
        for link in page.locator("a[id=link]").all():
            link.click()
        assert page.evaluate("() => window.ran") is None
        assert page.url == address
        assert [one for one in asked if one != address] == []
        assert page.get_by_text("said last").is_visible()
        assert page.locator(".jp-OutputArea table, .jp-MarkdownCell table").first.is_visible()
        page.close()
