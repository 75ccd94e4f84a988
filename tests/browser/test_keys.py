"""Keys, focus and clicks of the panel in a browser, without Jupyter: what its program does with the elements there."""

import shutil

import pytest

from oet_kernel.panel.keys import Keys

sync_api = pytest.importorskip("playwright.sync_api")

CHROMIUM = shutil.which("chromium")
ARGUMENTS = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking")
BODY = """
<button id="outside">outside</button>
<div class="oet-panel">
  <div class="oet-rows">
    <button id="r3" tabindex="-1">#3</button>
    <button id="r2" tabindex="0">#2</button>
    <button id="r1" tabindex="-1">#1</button>
  </div>
  <select id="script"><option>a</option></select><input id="field">
  <button id="start">Start 2</button><button id="stop">Stop 2</button>
  <div id="said"></div>
</div>
"""
SUPPRESSED = "id => document.getElementById(id).hasAttribute('data-lm-suppress-shortcuts')"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium; apt-get install chromium")


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def page(browser):
    page = browser.new_page()
    page.clock.install(time=0)
    page.set_content(BODY)
    for _ in range(2):  # a notebook may show several panels
        page.evaluate(
            "html => { const one = document.createElement('div'); one.innerHTML = html;"
            " document.querySelector('.oet-panel').append(one) }",
            Keys().value,
        )
    page.wait_for_function("() => window.oetPanelKeys")
    yield page
    page.close()


def focused(page):
    return page.evaluate("() => document.activeElement.id")


def test_single_key_is_no_command_to_jupyter(page):
    for named in ("start", "stop", "field", "script", "r2"):
        for key in ("x", "d", "0", "Shift+A", "ArrowUp", "Enter"):
            page.focus("#outside")
            page.focus(f"#{named}")
            page.keyboard.press(key)
            assert page.evaluate(SUPPRESSED, named), (named, key)


@pytest.mark.parametrize("key", ["Control+s", "Alt+x", "Meta+x"])
def test_keys_with_a_modifier_stay_jupyter_s(page, key):
    page.focus("#start")
    page.keyboard.press("x")
    page.keyboard.press(key)
    assert not page.evaluate(SUPPRESSED, "start")


def test_keys_outside_of_the_panel_are_left_alone(page):
    page.focus("#outside")
    page.keyboard.press("x")
    assert not page.evaluate(SUPPRESSED, "outside")


@pytest.mark.parametrize(
    ("keys", "row"),
    [
        (["ArrowDown"], "r1"),
        (["ArrowUp"], "r3"),
        (["ArrowUp", "ArrowUp", "ArrowUp"], "r3"),
        (["End"], "r1"),
        (["Home", "ArrowDown"], "r2"),
        (["Tab"], "script"),
    ],
)
def test_arrow_keys_go_through_the_list_and_tab_leaves_it(page, keys, row):
    page.focus("#r2")
    for key in keys:
        page.keyboard.press(key)
    assert focused(page) == row


def test_button_that_is_disabled_passes_the_focus_to_the_list(page):
    page.evaluate("() => { start.onclick = () => { start.disabled = true } }")
    page.focus("#start")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.activeElement.id === 'r2'")


def test_row_that_is_drawn_anew_has_the_focus_again(page):
    page.focus("#r1")
    page.evaluate("""async () => {
        const list = document.querySelector('.oet-rows'), rows = [...list.children].map(one => one.cloneNode(true));
        list.replaceChildren();
        await Promise.resolve();
        list.replaceChildren(...rows);
    }""")
    page.wait_for_function("() => document.activeElement.id === 'r1'")


def test_focus_that_has_left_the_panel_is_not_called_back(page):
    page.focus("#start")
    page.focus("#outside")
    page.evaluate("async () => { start.disabled = true; await new Promise(requestAnimationFrame) }")
    assert focused(page) == "outside"


def test_click_that_the_kernel_does_not_answer_is_shown_until_it_does(page):
    page.clock.pause_at(3600)
    page.click("#stop")
    note = page.locator(".oet-note").first
    assert note.inner_text() == ""
    page.clock.run_for(1000)
    assert note.inner_text().startswith("Stop 2: sent; the kernel of this notebook is busy")
    assert "oet-waiting" in page.locator("#stop").get_attribute("class")
    page.evaluate("() => { said.textContent = 'Procedure 2 is being stopped.' }")
    assert note.inner_text() == ""
    assert page.locator("#stop").get_attribute("class") == ""


def test_click_that_is_answered_at_once_is_not_remarked_on(page):
    page.evaluate("() => { document.getElementById('stop').onclick = () => { said.textContent = 'stopped' } }")
    page.locator("#stop").click()
    page.clock.run_for(1000)
    assert page.locator(".oet-note").first.inner_text() == ""
