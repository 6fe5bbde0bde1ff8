# SPDX-License-Identifier: Apache-2.0
"""The page of a report: it asks for nothing, runs nothing, and shows data as text and nothing else."""

import html
import html.parser
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxbert.reports import content, page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
EVIL = "</td></table><script>fetch('http://evil.example/')</script><img src=http://evil.example/x onerror=alert(1)>&\"'"


def report() -> dict[str, Any]:
    """A report with every part, whose names and texts would break a page that does not escape them."""
    chance = np.random.default_rng(0)
    names = ["a", EVIL, "c"]
    labels, probabilities = chance.integers(3, size=60), chance.dirichlet(np.ones(3), 60)

    def texts(numbers: np.ndarray) -> list[list[str]]:
        return [[EVIL, "x" * 300] for _ in numbers]

    def accuracy(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
        return {EVIL: float(np.mean(labels == probabilities.argmax(axis=1)))}

    masked = {name: chance.integers(5, 9, size=30) for name in ("ids", "losses", "right", "lengths")}
    lines = [{"step": step, "loss": 1 / step, "learning_rate": 0.1, EVIL: 0.5, "none": None} for step in range(1, 5)]
    return {
        "kind": "classification",
        "written": "2026-01-01T00:00:00+00:00",
        "run": {"flags": {"data_dir": EVIL}, "seed": 0, "versions": {"jaxbert": "0"}},
        "model": {"name": EVIL},
        "data": {"task": EVIL, "counts": {"train": 12345}},
        "curves": {"train": lines, "validation": lines},
        "results": content.metrics(accuracy, (labels, probabilities)) | {"step": 4, "note": EVIL},
        "settings": {"title": EVIL, "by": EVIL, "note": EVIL, "rows": [{"name": EVIL, "count": 2, "mean": 0.5}] * 3},
        **content.regression(labels.astype(float), probabilities[:, 0], texts),
        **content.classification(names, labels, probabilities, texts),
        **content.lengths(chance.integers(3, 20, size=60), 19, labels == 1, EVIL),
        **content.masked_tokens(masked, None),
    }


class Elements(html.parser.HTMLParser):
    """What stands in a page: its tags with their attributes in order, and the text of all of it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it, and that it is open."""
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """It closes what was opened last."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Collect text."""
        self.text += data


@pytest.fixture(scope="module")
def text() -> str:
    """The page of `report`."""
    return page.page(report())


def test_nothing_is_asked_for_or_run(text: str) -> None:
    """No script, no image, no link; every reference is to a part of the same page, which is there once."""
    found = Elements(text)
    assert found.open == []
    allowed = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "div", "figure", "figcaption"}
    allowed |= {"table", "tr", "th", "td", "svg", "g", "path", "use", "defs", "text", "rect", "clippath"}
    assert {tag for tag, _ in found.tags} <= allowed
    ids = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    values = [(name, value or "") for _, attributes in found.tags for name, value in attributes.items()]
    assert not [name for name, _ in values if name.startswith("on") or name in ("src", "xlink:href")]
    references = [value for name, value in values if name == "href"]
    references += re.findall(r"url\(([^)]*)\)", text)
    assert references
    assert {reference[1:] for reference in references} <= set(ids)
    assert all(reference.startswith("#") for reference in references)


def test_data_is_text(text: str) -> None:
    """What names and texts of the data hold is shown as it is, wherever they are."""
    found = Elements(text)
    assert found.text.count(EVIL) > 20
    assert "<script" not in text


def test_every_chart_is_told_in_words(text: str) -> None:
    """Each SVG is an image with a description that has figures in it."""
    charts = [attributes for tag, attributes in Elements(text).tags if tag == "svg"]
    assert len(charts) == 9
    for attributes in charts:
        assert attributes["role"] == "img"
        assert re.search(r"\d", attributes["aria-label"] or "")


def test_equal_reports_are_equal_pages(text: str) -> None:
    """Drawn again, and with settings of matplotlib by the user, every byte is the same."""
    import matplotlib

    with matplotlib.rc_context({"font.size": 20, "axes.linewidth": 3, "svg.hashsalt": "other"}):
        assert page.page(report()) == text


def test_colours_are_those_of_the_page(text: str) -> None:
    """Charts have no colour of their own, so that they follow light and dark."""
    charts = "".join(re.findall(r"(?s)<svg.*?</svg>", text))
    assert not re.findall(r"#[0-9a-fA-F]{6}\b", charts.replace("&#x27;", ""))
    assert "currentColor" in charts


def in_browser(path: Path, folder: Path, *more: str) -> str:
    """The page at `path` as chromium has it after its scripts, if it has any, ran."""
    arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--dump-dom"]
    command = [CHROMIUM or "", *arguments, *more, f"--user-data-dir={folder}/profile", path.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")
def test_no_request_leaves_a_browser(text: str, tmp_path: Path) -> None:
    """Chromium, whose log of the network has all it asks for, opens the page and asks for no other address."""
    path, log = tmp_path / "report.html", tmp_path / "net.json"
    path.write_text(text)
    assert "evil" in in_browser(path, tmp_path, f"--log-net-log={log}")
    events = json.loads(log.read_text())["events"]
    asked = {event["params"]["url"] for event in events if "url" in event.get("params", {})}
    assert not [url for url in asked if "evil" in url]


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")
def test_it_fits_a_phone(text: str, tmp_path: Path) -> None:
    """In a window of 390 pixels the page is no wider; wide tables scroll inside."""
    script = "const { scrollWidth, clientWidth } = frames[0].document.documentElement;"
    script += "document.title = `${scrollWidth} ${clientWidth}`"
    frame = f'<iframe style="width: 390px; border: 0" srcdoc="{html.escape(text)}"></iframe>'
    path = tmp_path / "phone.html"
    path.write_text(f"<!DOCTYPE html><title></title>{frame}<script>onload = () => {{ {script} }}</script>")
    whole, shown = map(int, re.findall(r"<title>(\d+) (\d+)</title>", in_browser(path, tmp_path))[0])
    assert whole == shown <= 390
