import json

from opticornet.reports.page import embedded, flattened


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
