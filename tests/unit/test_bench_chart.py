"""The picture of the benchmark is SVG, and its bars are as long as what they stand for."""

from __future__ import annotations

from xml.etree import ElementTree

from bench.chart import bars

SVG = "{http://www.w3.org/2000/svg}"


def test_bars_are_as_long_as_their_values_and_ours_are_marked() -> None:
    picture = ElementTree.fromstring(bars([("Cost <per> request", "ms", [("hajimi on daphne", 1.0), ("other", 4.0)])]))

    ours, other = picture.findall(f"{SVG}rect")
    assert float(other.attrib["width"]) == 4 * float(ours.attrib["width"])
    assert (ours.attrib["class"], other.attrib["class"]) == ("bar ours", "bar")
    assert "Cost <per> request" in [text.text for text in picture.findall(f"{SVG}text")]
