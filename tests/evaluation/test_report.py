"""The report opens without a network, says what the summary says, and takes no text for markup."""

import asyncio
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from display_node.chromium import Chromium, find_chromium

from atl_evaluation import plots
from atl_evaluation.report import page, write_report
from atl_evaluation.run_folder import new_summary
from atl_evaluation.verdict import Condition, judge
from atl_evaluation.wording import bounds, figure
from atl_face.errors import UserError

EVIL = '<script>alert("1")</script>'
PICTURE = np.full((40, 30, 3), (200, 30, 30), np.uint8)


def rows(count=50, **more):
    gap = 0.1 + 0.1 * np.sin(np.arange(count))
    return [{"index": k, "stamp_s": 1.7e9 + k / 25, "face_found": k != 3, "gap_driven": gap[k],
             "gap_seen": None if k == 3 else 0.9 * gap[k], "render_ms": 10.0 + k % 7}
            | {key: values[k] for key, values in more.items()} for k in range(count)]  # fmt: skip


def summary(live=None):
    metric = {"value": 0.8765432, "unit": "", "better": "higher", "definition": f"What it is {EVIL}.", "source": "A paper, 2020.",
              "interval": [0.81, 0.91], "note": None,
              "baselines": {"warp only": 0.75, "detector floor": float("nan"), "mine": 0.5}}
    made = new_summary(bag={"path": f"/bags/{EVIL}", "messages": {EVIL: 3}}, configuration={"name": EVIL}, rows=rows(),
                       metrics={"gap": metric, "lost": metric | {"value": None, "better": 1, "interval": None, "baselines": {}}},
                       problems=[{"what": f"The topic {EVIL} is missing.", "count": 2}], live=live)  # fmt: skip
    return judge(made, [Condition("gap", 0.8), Condition("lost", at_most=2.0)])


class Tags(HTMLParser):
    """Every start tag with its attributes."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def html():
    return page(summary({"latency": {"p95_ms": 27.5}}), rows(latency_ms=np.linspace(20, 30, 50)),
                [(f"1.0 s {EVIL}", PICTURE)], [("no face is seen", PICTURE)], [(0.5, -5.0), (1.5, 5.0)])  # fmt: skip


def test_nothing_is_loaded_and_no_script_runs(html):
    tags = Tags(html).found
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in tags}
    loaded = [value for _, attributes in tags for name, value in attributes.items()
              if name in ("src", "href", "xlink:href", "srcset", "data", "poster")]  # fmt: skip
    assert loaded and all(value.startswith(("data:image/jpeg;base64,", "#")) for value in loaded)
    assert not re.search(r"url\((?!#)|@import", html)
    assert not any(name.startswith("on") for _, attributes in tags for name in attributes)


def test_texts_are_no_markup(html):
    assert EVIL not in html and html.count("&lt;script&gt;") >= 6, "path, topic, configuration, definition, problem, caption"


def test_every_figure_stands_there_with_its_baselines(html):
    plain = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))
    assert "failed" in plain and "1 of 2 conditions passed" in plain and "frames without a face: 1" in plain
    assert "gap 0.8765 [0.81, 0.91] higher – – 0.75 – 0.5" in plain, "ground truth, still, warp only, floor, one of their own"
    assert "lost – near 1 – – – – –" in plain
    assert "gap ✓ passed 0.8765 at least 0.8" in plain and "lost ? not measured – at most 2" in plain
    assert "A paper, 2020." in plain and "latency.p95_ms 27.5" in plain and "(2 ×)" in plain


def test_who_cannot_see_is_told(html):
    tags = Tags(html).found
    assert all(attributes.get("alt") for tag, attributes in tags if tag == "img")
    assert all(attributes.get("scope") for tag, attributes in tags if tag == "th")
    described = [a["aria-label"] for _, a in tags if a.get("role") == "img"]
    assert len(described) == 4 and "Frames without a face: 1." in described[0]
    assert len({a["id"] for _, a in tags if "id" in a}) == sum("id" in a for _, a in tags), "ids are unique"


def test_plots_of_known_rows():
    both = rows(gap_real=np.full(50, 0.25))
    assert "real 0.250, driven 0.1" in plots.mouth(both).text
    assert "median 12.0 ms, between 11.0 and 13.0" in plots.skew([(0.9, 11.0), (1.9, 12.0), (2.9, 13.0)]).text
    one_waited = np.r_[np.full(199, 10.0), 500.0]
    [renderer] = plots.latencies([{"render_ms": value} for value in one_waited])
    assert "p50 10, p95 10, p99 10, max 500 ms" in renderer.text and "slower than drawn: 1" in renderer.text
    assert renderer.svg == plots.latencies([{"render_ms": value} for value in one_waited])[0].svg, "the same bytes again"
    assert plots.mouth([]) is None and plots.skew([]) is None and plots.latencies([{"index": 0}]) == []
    assert plots.mouth(rows(1)), "one frame is a run, too"
    cut = [row | {"stamp_s": row["stamp_s"] + (60 if row["index"] > 24 else 0)} for row in rows()]
    assert np.isnan(plots._over_time(cut, np.arange(50.0))[1]).sum() == 1, "no line joins frames a minute apart"


def test_a_run_without_any_frame_has_a_report():
    empty = judge(new_summary(bag={"path": "x"}, configuration={}, metrics={}, rows=[]), [Condition("gap", 1)])
    text = page(empty, [])
    assert "No frames were kept." in text and "not measured" in text


def test_figures_in_words():
    assert [figure(v) for v in (None, float("nan"), 0.123456, 12345.6, 3, "x", [1.5, None], [])] == [
        "–", "–", "0.1235", "12346", "3", "x", "1.5, –", "–"]  # fmt: skip
    assert bounds({"at_least": -1.0, "at_most": 1.0}) == "at least -1, at most 1" and bounds({"at_most": 0}) == "at most 0"


def test_a_place_that_can_not_be_written(tmp_path):
    with pytest.raises(UserError, match="can't be written"):
        write_report(tmp_path / "nowhere" / "report.html", summary(), [])


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium (apt install chromium)")
def test_a_browser_shows_it(tmp_path, html):
    (tmp_path / "report.html").write_text(html, encoding="utf-8")

    async def look():
        async with Chromium() as browser:
            await browser.resize(390, 800, mobile=True)
            await browser.open((tmp_path / "report.html").as_uri())
            assert await browser.run("document.documentElement.scrollWidth") <= 390, "a phone needs no sideways scrolling"
            assert await browser.run("[...document.images].every((i) => i.naturalWidth === 30)")
            line = "getComputedStyle(document.querySelector('svg path[style*=series-2]')).stroke"
            light = await browser.run(line)
            await browser.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
            assert light.startswith("rgb") and await browser.run(line) not in (light, "none"), "the dark theme's colours"
            assert await browser.run("performance.getEntriesByType('resource').every((e) => e.name.startsWith('data:'))")

    asyncio.run(look())
