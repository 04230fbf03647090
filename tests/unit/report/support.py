"""Plots of every kind, and a reader of pages."""

from html.parser import HTMLParser

import numpy as np

from keras_ssl.analysis.sections import Plot, Section, Table

HOSTILE = '<b>&"$_{x}'
VOID = {"meta", "img", "link", "br", "input", "wbr"}


def curve(*values):
    return {"x": np.arange(len(values)), "y": np.array(values, float)}


def plots(label=HOSTILE):
    """A plot of each kind, whose series have a hostile name."""
    random = np.random.RandomState(0)
    edges = {"from": ["cat", HOSTILE], "to": [1, 2], "weight": [0.5, 1.0]}
    counts = {"edges": np.arange(4.0), "counts": [1, 2, 3]}
    names = ["cat", "dog", "bird", "fish", HOSTILE]
    return (
        Plot("lines", "Lines", "lines", {label: curve(3, 2, 1), "other": curve(1, 2, 3)}),
        Plot("bars", "Bars", "bars", {label: {"x": [HOSTILE, "b"], "y": [1.0, 2.0]}}),
        Plot("histogram", "Histogram", "histogram", {label: counts}),
        Plot("matrix", "Matrix", "matrix", {label: {"z": np.eye(5), "rows": names}}),
        Plot("scatter", "Scatter", "scatter", {label: curve(1, 2), "other": curve(2, 3)}),
        Plot("network", "Network", "network", {label: edges}),
        Plot("images", "Images", "images", {label: {"images": bytes_of(random, 3, 8, 8, 3)}}),
    )


def bytes_of(random, *shape):
    return random.randint(0, 256, shape).astype("uint8")


def section(**more):
    table = Table(f"Table {HOSTILE}", ("of", HOSTILE), ((HOSTILE, 1.5),), note=HOSTILE)
    parts = {"words": (f"Words {HOSTILE}.",), "tables": (table,), "plots": plots()}
    return Section("all", f"All {HOSTILE}", **{**parts, "values": {HOSTILE: HOSTILE}, **more})


class Reader(HTMLParser):
    """A page as tags: those open, counts of all, ids, references to what is loaded, text."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.ids, self.references, self.text = [], [], [], [], []
        self.attributes = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append(tag)
        self.attributes.append((tag, attributes))
        self.ids += [attributes["id"]] if "id" in attributes else []
        loaded = ("src", "href", "xlink:href", "data", "srcset", "poster", "action")
        self.references += [attributes[name] for name in loaded if name in attributes]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        self.text.append(data)
