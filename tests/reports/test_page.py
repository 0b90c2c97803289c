import json
import re

from opticornet.reports.page import HERE, LIBRARIES, STYLES, embedded, flattened, render
from opticornet.reports.protocols import group_by_protocol
from opticornet.reports.results import read_results


def test_fields_of_a_record_by_section():
    record = {
        "created": "now",
        "data": {"query": {"name": "winter"}, "images": None},
        "recall": {"1": 0.25},
        "recall_at_radius": {"5": {"1": 0.5, "5": 0.75}},
        "recall_interval": {"1": [0.1, 0.3]},
    }
    assert list(flattened(record)) == [
        ("result", "created", "now"),
        ("data", "query.name", "winter"),
        ("data", "images", "null"),
        ("recall", "1", "0.25"),
        ("recall_at_radius", "5", "@1 0.5, @5 0.75"),
        ("recall_interval", "1", "0.1, 0.3"),
    ]


def test_embedded_text_cannot_end_its_script_element():
    text = embedded({"name": "</script><!--&"})
    assert "<" not in text
    assert json.loads(text) == {"name": "</script><!--&"}


def test_page_names_no_address_to_load_from(record):
    results, notes = read_results([record("a", lat_lon=True)])
    page = render(results, group_by_protocol(results), ["left out"], {}, notes)
    assert not re.findall(r"""(?:src|action)\s*=\s*["']?(?:https?:)?//""", page)
    assert not re.findall(r"""(?:url\(|@import)\s*["']?(?:https?:)?//""", page)
    assert "sourceMappingURL" not in page
    assert "default-src 'none'" in page
    assert re.findall(r"https://[^/\s\"'`]+/\$\{theme\}", page) == ["https://basemaps.cartocdn.com/${theme}"]


def test_seqnets_count_has_a_table_where_it_is_another(record):
    results, notes = read_results([record("a", label="same"), record("b", label="other", each={"1": 0.7, "5": 0.8})])
    pages = [
        render(some, group_by_protocol(some), ["left out"] * len(some), {}, notes) for some in (results, results[:1])
    ]
    section = re.search(r'<section id="each">.*?</section>', pages[0], re.DOTALL)[0]
    assert re.findall(r'scope="row">(\w+)', section) == ["other"]
    assert re.findall(r"<td[^>]*>([^<]*)</td>", section) == ["70.0", "80.0", "–", "–"]  # at 1, 5, 10, 20
    assert 'id="each"' not in pages[1]


def test_every_library_comes_with_its_licence():
    for path in (path for path in (*LIBRARIES, *STYLES) if "vendor" in path):
        licence = (HERE / path).with_name((HERE / path).stem + "-LICENSE")
        assert "Copyright" in licence.read_text(encoding="utf-8"), path


def test_recalls_of_query_drives_name_the_data_where_several_were_tested(record):
    """Two results of one method are otherwise the same row twice."""
    paths = [record(name, dataset=name) for name in ("rain", "snow")]
    for path in paths:
        drives = {"recall_per_drive": {"x": {"1": 0.5}, "y": {}}, "counted_per_drive": {"x": 4, "y": 0}}
        path.write_text(json.dumps(json.loads(path.read_text()) | drives))
    results, _ = read_results(paths)
    page = render(results, group_by_protocol(results), ["left out"] * 2, {}, [])
    section = page[page.index('<section id="drives">') : page.index('<section id="curves">')]
    rows = re.findall(r"<tr><th scope=\"row\">(.*?)</th><td>(\w)</td>", section)
    assert [drive for _, drive in rows] == ["x", "y", "x", "y"]
    assert ["rain" in row for row, _ in rows] == [True, True, False, False]
    assert ["snow" in row for row, _ in rows] == [False, False, True, True]
