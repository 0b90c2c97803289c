"""The page as a reader's browser shows it: in headless Chromium, from disk, without a network."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from opticornet.reports.page import render
from opticornet.reports.protocols import group_by_protocol
from opticornet.reports.results import read_results
from opticornet.steps.report import gather

pytestmark = pytest.mark.browser

NASTY = "<script>window.broken=1</script>\"'&"


@pytest.fixture(scope="module")
def chromium():
    """Opens a page; skips where there is no Chromium or no way to steer it."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    service_of = pytest.importorskip("selenium.webdriver.chrome.service")
    binary, steering = shutil.which("chromium"), shutil.which("chromedriver")
    if not binary or not steering:
        pytest.skip("chromium and chromium-driver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_argument("--window-size=1280,900")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=service_of.Service(steering))
    yield driver
    driver.quit()


@pytest.fixture
def page(chromium, record, tmp_path):
    """Writes a report of some records and opens it."""

    def show(*records, width: int = 1280):
        results, notes = read_results(list(records))
        matrices, pictures, _ = gather(results, matrix_side=500)
        path = tmp_path / "index.html"
        notes += [note for result in results for note in result.notes]
        path.write_text(render(results, group_by_protocol(results), matrices, pictures, notes), encoding="utf-8")
        chromium.get_log("browser"), chromium.get_log("performance")
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        chromium.get(path.as_uri())
        return chromium

    return show


def _text(driver, selector):
    return driver.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)", selector
    )


def _colours(driver, selector):
    """Number of different colours in a canvas."""
    return driver.execute_async_script(
        """const [selector, done] = arguments;
        requestAnimationFrame(() => requestAnimationFrame(() => {
          const canvas = document.querySelector(selector);
          const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
          done(new Set(new Uint32Array(pixels.buffer)).size);
        }));""",
        selector,
    )


def _requests(driver, scheme: str) -> list[str]:
    """Addresses asked for since the last look."""
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    urls = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return [url for url in urls if url.startswith(scheme)]


def _press(driver, key):
    driver.execute_script("document.dispatchEvent(new KeyboardEvent('keydown', {key: arguments[0]}))", key)


def test_opens_from_disk_without_errors_and_without_the_network(page, record):
    driver = page(record("a"), record("b", label="other", wrong=(1,)), record("c", planar=False))
    assert driver.get_log("browser") == []
    requests = _requests(driver, "")
    assert {url for url in requests if not url.startswith(("data:", "blob:"))} == {driver.current_url}


def test_first_glance(page, record):
    driver = page(record("a", wrong=(3, 4, 5)), record("b", label="better", wrong=(1,)))
    assert "95.0" in _text(driver, ".big")[0]
    assert "better" in _text(driver, ".headline-name")[0]
    assert "1 query in a row" in _text(driver, ".facts")[0]
    assert _text(driver, ".rank .label") == ["better", "smooth S5"]


def test_from_the_ninth_method_on_lines_are_dashed_and_points_hollow(page, record):
    driver = page(*(record(str(i), label=f"m{i:02}", milliseconds=1.0 + i) for i in range(16)))

    def looks(selector, *properties):
        return driver.execute_script(
            "const [selector, names] = arguments;"
            "return [...document.querySelectorAll(selector)].map(e => names.map(n => getComputedStyle(e)[n]).join())",
            selector, properties,
        )  # fmt: skip

    for selector, properties in (
        (".chart:nth-of-type(2) path.line", ("stroke", "strokeDasharray")),
        ("#charts circle", ("stroke", "fill")),
        ("#charts .legend i", ("color", "backgroundImage")),
    ):
        found = looks(selector, *properties)
        assert len(found) == len(set(found)) == 16, selector
    assert set(looks("#charts path.line", "strokeDasharray")) == {"none", "6px, 3px"}
    assert looks("#charts circle", "fill")[8:] == ["rgb(255, 255, 255)"] * 8


def test_table_sorts_within_each_protocol(page, record):
    driver = page(
        record("a", label="middle", wrong=(1, 2)),
        record("b", label="worst", wrong=(1, 2, 3)),
        record("c", label="best", wrong=()),
        record("d", label="elsewhere", no_positive=(0,)),
    )
    head = driver.find_elements("css selector", "#table thead button")[1]
    driver.execute_script("arguments[0].click()", head)
    assert _text(driver, "#table .pick") == ["best", "middle", "worst", "elsewhere"]
    driver.execute_script("arguments[0].click()", head)
    assert _text(driver, "#table .pick") == ["worst", "middle", "best", "elsewhere"]
    assert "2 protocols" in _text(driver, ".warning")[0]


@pytest.mark.parametrize("planar", [True, False])
def test_map_and_route_draw_the_outcomes(page, record, planar):
    driver = page(record("a", planar=planar, no_positive=(9,)))
    assert _colours(driver, "#map canvas") > 20
    assert _colours(driver, "#route canvas") > 5
    assert _text(driver, "#map-legend button") == ["right 16", "close 3", "no positive 1"]
    shown = _colours(driver, "#map canvas")
    for button in driver.find_elements("css selector", "#map-legend button"):
        driver.execute_script("arguments[0].click()", button)
    assert _colours(driver, "#map canvas") < shown


def test_street_tiles_are_asked_for_only_once_wanted_and_missed_without_harm(page, record):
    from selenium.webdriver.support.ui import WebDriverWait

    driver = page(record("a", lat_lon=True))
    driver.execute_cdp_cmd("Network.enable", {})
    network = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    driver.execute_cdp_cmd("Network.emulateNetworkConditions", network | {"offline": True})
    assert _requests(driver, "https:") == []
    (button,) = [b for b in driver.find_elements("css selector", "#map-tools button") if "Street" in b.text]
    driver.execute_script("arguments[0].click()", button)
    WebDriverWait(driver, 10).until(
        lambda _: "cannot be loaded" in _text(driver, "#map .leaflet-control-attribution")[0]
    )
    driver.execute_cdp_cmd("Network.emulateNetworkConditions", network | {"offline": False})
    asked = _requests(driver, "https:")
    assert asked
    assert all(url.startswith("https://basemaps.cartocdn.com/light_all/") for url in asked)
    assert _colours(driver, "#map canvas") > 20


def _scale(driver) -> str:
    """What the map's scale bar says."""
    return _text(driver, "#map .leaflet-control-scale-line")[0]


def _key(driver, key):
    driver.execute_script(
        "document.querySelector('#map .plane').dispatchEvent(new KeyboardEvent('keydown', "
        "{key: arguments[0], code: arguments[0], keyCode: arguments[1], bubbles: true}))",
        key, ord(key) if key == "0" else {"+": 187, "-": 189}[key],
    )  # fmt: skip


def test_map_is_enlarged_by_keys_and_by_the_wheel_only_with_ctrl(page, record):
    from selenium.webdriver.support.ui import WebDriverWait

    driver = page(record("a"))
    driver.execute_script("document.querySelector('#map .plane').focus()")
    until = WebDriverWait(driver, 5).until
    whole = _scale(driver)
    assert driver.execute_script("return document.querySelector('#map .leaflet-grab')") is None  # a finger scrolls
    _key(driver, "+")
    until(lambda _: _scale(driver) != whole)
    assert driver.execute_script("return document.querySelector('#map .leaflet-grab')") is not None
    _key(driver, "0")
    until(lambda _: _scale(driver) == whole)

    wheel = (
        "return document.querySelector('#map canvas').dispatchEvent(new WheelEvent('wheel', "
        "{deltaY: -200, ctrlKey: arguments[0], bubbles: true, cancelable: true, clientX: 700, clientY: 300}))"
    )
    assert driver.execute_script(wheel, False)  # left to the page
    assert not driver.execute_script(wheel, True)
    until(lambda _: _scale(driver) != whole)


def test_a_point_of_the_map_names_its_query_and_leads_to_it(page, record):
    from selenium.webdriver.common.action_chains import ActionChains

    driver = page(record("a", names=[f"{NASTY}{i}" for i in range(20)]))
    plane = driver.find_element("css selector", "#map .plane")
    # Query 0 lies at the right end of a circle that fills the height but for 14 pixels on either side.
    ActionChains(driver).move_to_element_with_offset(plane, plane.size["height"] // 2 - 15, 0).perform()
    (text,) = _text(driver, "#map .leaflet-tooltip")
    assert text.startswith(f"query {NASTY}0 (row 0): right\nmatched to")
    assert driver.execute_script("return window.broken") is None
    assert f"{NASTY}0 " not in _text(driver, "#atlas-body .window")[0]
    ActionChains(driver).click().perform()
    assert f"{NASTY}0 " in _text(driver, "#atlas-body .window")[0]


def _hover_and_click_row(driver, row, of):
    """A row of the matrix under the pointer is named; a click shows its query."""
    from selenium.webdriver.common.action_chains import ActionChains

    plane = driver.find_element("css selector", "#matrix .leaflet-image-layer")
    driver.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", plane)
    down = int(plane.size["height"] * ((row + 0.5) / of - 0.5))
    ActionChains(driver).move_to_element_with_offset(plane, 0, down).perform()
    (text,) = _text(driver, "#matrix .leaflet-tooltip")
    assert text.startswith(f"query frame {row}:")
    assert "under the pointer: frame" in text
    ActionChains(driver).click().perform()
    assert f"frame {row}" in _text(driver, "#atlas-body .window")[0]


def test_matrix_is_drawn_from_the_dataset_as_it_was(page, tmp_path, monkeypatch):
    from opticornet.options.modes import TestOptions
    from opticornet.steps.test import test as run_test

    rng = np.random.default_rng(0)
    folder = tmp_path / "data"
    folder.mkdir()
    places = np.cumsum(rng.standard_normal((30, 16)), axis=0)
    for name in ("summer", "winter"):
        np.save(folder / f"{name}.npy", (places + 0.3 * rng.standard_normal(places.shape)).astype(np.float32))
    (folder / "dataset.toml").write_text(
        'name = "line"\nunits = "frames"\n[traverses.summer]\ndescriptors = "summer.npy"\n'
        '[traverses.winter]\ndescriptors = "winter.npy"\n'
        '[splits.test]\nreference = "summer"\nquery = "winter"\npositive_radius = 1\n'
    )
    results = tmp_path / "results"
    run_test(TestOptions.of(
        dataset=str(folder), pooling="smooth", sequence_length=3, results_path=str(results), device="cpu",
        rerank="single+seqmatch", top_k=5, quiet=True,
    ))  # fmt: skip
    (path,) = results.glob("*.json")
    driver = page(path)
    assert _colours(driver, "#matrix canvas") > 5
    assert driver.execute_script("return document.querySelector('#matrix .leaflet-image-layer').naturalWidth") == 30
    _hover_and_click_row(driver, 7, of=30)
    assert "30 queries (down) against 30 references" in _text(driver, "#matrix-caption")[0]
    assert "first match before re-ranking, where it changed" in _text(driver, "#matrix-legend button")
    assert len(_text(driver, "#atlas canvas.strip")) == 3
    down, across = (driver.find_element("css selector", f"#matrix .axes .{name}").rect for name in ("down", "across"))
    assert down["y"] + down["height"] == pytest.approx(across["y"], abs=1)  # neither hides numbers of the other

    toml = (folder / "dataset.toml").read_text()
    (folder / "dataset.toml").write_text(toml.replace("positive_radius = 1", ""))
    run_test(TestOptions.of(
        dataset=str(folder), pooling="smooth", sequence_length=3, results_path=str(tmp_path / "answers"), device="cpu",
        quiet=True,
    ))  # fmt: skip
    driver = page(*(tmp_path / "answers").glob("*.json"))
    assert _text(driver, "#matrix-legend button") == ["first match"]
    (folder / "dataset.toml").write_text(toml)

    for name in ("summer", "winter"):
        np.save(folder / f"{name}.npy", np.load(folder / f"{name}.npy")[:20])
    driver = page(path)
    assert "has changed since" in _text(driver, "#matrix .empty")[0]
    assert _colours(driver, "#map canvas") > 20


def test_atlas_steps_with_the_keyboard_and_filters(page, record):
    driver = page(record("a", wrong=(3, 4, 5), no_positive=(9,)))
    driver.execute_script("document.getElementById('atlas').scrollIntoView({behavior: 'instant'})")
    assert _text(driver, "#atlas-place") == ["1 of 20"]
    first = _text(driver, "#atlas-body")
    _press(driver, "ArrowRight")
    assert _text(driver, "#atlas-place") == ["2 of 20"]
    assert _text(driver, "#atlas-body") != first
    _press(driver, "ArrowLeft")
    assert _text(driver, "#atlas-body") == first
    assert _text(driver, "#atlas-filters button:not([hidden])") == ["Close 3", "Right 16", "No positive 1"]
    right = driver.find_elements("css selector", "#atlas-filters button")[2]
    driver.execute_script("arguments[0].click()", right)
    assert _text(driver, "#atlas-place") == ["1 of 4"]


def test_atlas_shows_the_windows_images(page, record, tmp_path):
    paths = [str(tmp_path / f"{i}.png") for i in range(20)]
    for i, path in enumerate(paths):
        Image.new("RGB", (64, 32), (10 * i, 50, 50)).save(path)
    driver = page(record("a", images=paths))
    assert driver.execute_script("return document.querySelectorAll('#atlas .film img').length") == 9
    widths = driver.execute_script("return [...document.querySelectorAll('#atlas .main')].map(i => i.naturalWidth)")
    assert widths == [64, 64, 64]


def test_names_that_look_like_markup_stay_text(page, record):
    driver = page(
        record("a", dataset=NASTY, label=NASTY, names=[f"{NASTY}{i}" for i in range(20)]),
        record("b", dataset=NASTY, label="</script><img src=x onerror=window.broken=1>"),
    )
    assert driver.execute_script("return window.broken") is None
    assert driver.get_log("browser") == []
    assert NASTY in _text(driver, ".headline-name")[0]
    assert NASTY in _text(driver, "#atlas-body")[0]
    assert driver.execute_script("return document.querySelectorAll('main img').length") == 0


def test_difference_lists_queries_and_leads_to_them(page, record):
    driver = page(record("a", wrong=(1, 2)), record("b", label="other", wrong=(2, 7, 8)))
    assert "No difference beyond chance" in _text(driver, "#difference-body")[0]
    assert _text(driver, ".pick-list button") == ["7", "8", "1"]
    driver.execute_script("document.querySelector('.pick-list button').click()")
    assert "other" in _text(driver, ".headline-name")[0]
    assert "row 7" in _text(driver, "#atlas-body")[0]


def test_missing_arrays_leave_the_rest_of_the_page(page, record):
    path = record("a")
    path.with_suffix(".npz").unlink()
    driver = page(path, record("b", label="whole"))
    driver.execute_script("[...document.querySelectorAll('[role=radio]')].find(b => b.dataset.result === '0').click()")
    assert driver.get_log("browser") == []
    assert "No map" in _text(driver, "#map .empty")[0]
    assert "85.0" in _text(driver, ".big")[0]
    assert "a.npz is missing" in _text(driver, ".notes")[0]


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_screen(page, record, width):
    long = "a method with quite a long name that goes on " * 3
    driver = page(record("a", label=long), record("b", label="x" * 80, dataset="y" * 80), width=width)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("planar", [True, False])
def test_of_many_queries_no_outcome_hides_another(page, record, planar):
    """Three of five queries are wrong; blue and red share strip and map alike."""
    wrong = tuple(i for i in range(2500) if i % 5 in (0, 2, 4))
    driver = page(record("a", queries=2500, candidates=5, wrong=wrong, planar=planar))
    for selector, least in (("#route-stage canvas", 0.3), ("#map canvas", 0.02)):
        right, other = driver.execute_async_script(
            """const [selector, done] = arguments;
            requestAnimationFrame(() => requestAnimationFrame(() => {
              const canvas = document.querySelector(selector), context = canvas.getContext("2d");
              const top = selector.startsWith("#route") ? canvas.height - 25 : 0;
              const data = context.getImageData(0, top, canvas.width, canvas.height - top).data;
              let [right, other] = [0, 0];
              for (let i = 0; i < data.length; i += 4) {
                if (data[i + 3] < 200) continue;
                if (data[i + 2] > data[i] + 60) right++;
                if (data[i] > data[i + 2] + 60) other++;
              }
              done([right, other]);
            }));""",
            selector,
        )
        assert right / (right + other) > least, selector
        assert other > right * 0.5, selector


def test_no_recall_is_shown_where_there_is_none(page, record):
    driver = page(record("a", truth=False, placed=False, threshold=0.1), record("b", label="scored"))
    assert driver.get_log("browser") == []
    _select(driver, "smooth S5")
    assert _text(driver, ".big") == ["no ground truth"]
    assert "0.1 (best F1 on val)" in _text(driver, ".facts")[0]
    assert not driver.find_element("css selector", "#route").is_displayed()
    assert "stand where they were matched" in _text(driver, "#map-caption")[0]
    assert _text(driver, "#map-legend button") == ["no ground truth 20"]
    assert "whether the answer is right is not known" in _text(driver, ".verdict")[0]
    assert _text(driver, "#atlas-order") == ["in the order driven"]
    _select(driver, "scored")
    assert _text(driver, "#atlas-order") == ["worst first"]
    assert driver.get_log("browser") == []
    driver = page(record("a", truth=False))
    assert _text(driver, "#charts > *") == ["No curves: no query is counted."]


def test_refused_queries_are_told(page, record):
    driver = page(record(no_positive=(6, 7), threshold=0.0))
    assert "20 refused" in _text(driver, ".facts")[0]
    assert "the method says no answer" in _text(driver, ".verdict")[0]
    assert driver.get_log("browser") == []


def _select(driver, name: str) -> None:
    """Show the result of that name."""
    (button,) = (b for b in driver.find_elements("css selector", ".rank") if name in b.text)
    driver.execute_script("arguments[0].click()", button)
