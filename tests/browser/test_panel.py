"""The panel end to end, once: an operator clicks create, start, pause, resume and stop in JupyterLab, in a browser."""

import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

sync_api = pytest.importorskip("playwright.sync_api")

ROOT = Path(__file__).parents[2]
ARTIFACTS = ROOT / "artifacts"
CHROMIUM = shutil.which("chromium")
ARGUMENTS = (
    *("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
DEADLINE = 90.0

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium; apt-get install chromium"),
    pytest.mark.timeout(400),
]


@pytest.fixture
def lab(tmp_path):
    """JupyterLab on the notebooks, as a user starts it; gives its address."""
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    env = {name: value for name, value in os.environ.items() if not name.startswith("OET_")}
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "XDG_STATE_HOME"):
        env[name] = str(tmp_path / name.lower())
    settings = tmp_path / "jupyter_config_dir" / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')  # it covers what is below
    env["OET_RUNTIME_DIR"] = str(tmp_path / "runtime")
    argv = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", "--ServerApp.port=0"]
    argv += ["--IdentityProvider.token=lab", f"--ServerApp.root_dir={tmp_path / 'notebooks'}"]
    argv += ["--LabApp.extension_manager=readonly", f"--LabApp.workspaces_dir={tmp_path / 'workspaces'}"]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env, text=True)
    said = []
    try:
        for line in process.stderr:
            said.append(line)
            if address := re.search(r"http://127\.0\.0\.1:\d+", line):
                break
        else:
            pytest.fail("".join(said))
        rest = threading.Thread(target=said.extend, args=(process.stderr,))  # else it would stand still at a full pipe
        rest.start()
        yield address[0]
        process.terminate()
        rest.join(DEADLINE)
    finally:
        process.kill()
        process.wait(DEADLINE)
        process.stderr.close()


@pytest.fixture
def page(lab):
    """The panel's notebook in JupyterLab, its kernel started; what it looks like at the end is kept."""
    sync_api.expect.set_options(timeout=DEADLINE * 1000)
    with sync_api.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1400, "height": 1150})
        page.set_default_timeout(DEADLINE * 1000)
        try:
            page.goto(f"{lab}/doc/tree/control-panel.ipynb?token=lab&reset")
            page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
            yield page
        finally:
            page.screenshot(path=ARTIFACTS / "panel-end.png")
            browser.close()


def test_an_operator_creates_starts_pauses_and_stops_an_observation(page, tmp_path):
    expect = sync_api.expect
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    panel = page.locator(".oet-panel")
    expect(panel.get_by_role("status").first).to_contain_text("connected")
    selected = panel.locator(".oet-details")
    expect(selected).to_contain_text("Procedure 1 READY")  # which the last cell has prepared

    panel.locator(".oet-create select").first.select_option(label="observe.py")
    panel.get_by_label("sb", exact=True).fill(str(tmp_path / "notebooks" / "procedures" / "sbd-mid.json"))
    panel.get_by_label("speed", exact=True).fill("20")
    panel.locator("button", has_text="Create").click()
    expect(selected).to_contain_text("Procedure 2 READY")

    panel.locator("button", has_text="Start 2").focus()
    page.keyboard.press("Enter")
    expect(selected).to_contain_text("Procedure 2 RUNNING")
    expect(panel.locator("button:focus")).to_have_text("#2")  # which is where Enter does no harm
    cells = page.locator(".jp-Cell").count()
    page.keyboard.press("x")
    page.keyboard.press("ArrowDown")
    expect(panel.locator("button:focus")).to_have_text("#1")
    assert page.locator(".jp-Cell").count() == cells
    expect(panel.get_by_role("log")).to_contain_text("Scan 1/4")
    panel.locator("button", has_text="Pause 2").click()
    expect(selected).to_contain_text(re.compile(r"Procedure 2 RUNNING\s*paused at scan [2-4]"))
    expect(panel.locator("button", has_text="Pause 2")).to_be_disabled()
    panel.scroll_into_view_if_needed()
    page.screenshot(path=ARTIFACTS / "panel.png", clip=panel.bounding_box())

    panel.locator("button", has_text="Resume 2").click()
    expect(selected).not_to_contain_text("paused at")
    expect(panel.locator("button", has_text="Pause 2")).to_be_enabled()

    panel.locator("button", has_text=re.compile(r"Stop 2$")).click()
    expect(selected).to_contain_text("Procedure 2 STOPPED")
    expect(panel.get_by_text("Successfully stopped script with ID 2")).to_be_visible()
    expect(panel.get_by_role("log")).to_contain_text("Subarray 1: resources deallocated")
