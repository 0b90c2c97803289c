"""What tables and curves call results: what differs between those at hand, and nothing else."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

# Options that say where things are, what is written and how often it is measured: not how a query is answered.
_SILENT = {
    *(
        "config",
        "dataset",
        "dataPath",
        "structPath",
        "runsPath",
        "savePath",
        "resume",
        "rerankResume",
        "plugin",
        "plugins",
        "startedFrom",
    ),
    *("resultsPath", "report", "projector", "extractOnly", "quiet", "verbose", "label", "expName"),
    *("answers", "answersFormat", "answersTopK"),
    *("adapt", "adaptScale"),
    *("latencyQueries", "bootstrap", "matchMemory", "descriptors", "otherDescriptors"),
    *(
        "pooling",
        "seqL",
        "rerank",
        "rerankSeqL",
        "rerankBy",
        "topK",
        "matcher",
        "direction",
        "reverse",
        "index",
        "nprobe",
        "mapPaces",
        "paceCost",
        "amp",
        "predictionsFile",
        "split",
    ),
}
_DIRECTIONS = {"reverse": "reverse", "both": "either direction"}  # of queries; what needs no word is left out
_NAMES = ("of the test", "of the run", "folder of the run")
_NOTHING = object()  # equal to no value


@dataclass(frozen=True)
class Facts:
    """What a record says of how queries were answered.

    Attributes:
        method: its name.
        letter: S where descriptors of sequences were searched, L where their frames were matched; before their length.
        dataset: with its split; results of two are never called by what tells them apart.
        given: the label that the user gave; empty where there is none.
        leading: what is told wherever it differs between any two results; a key that does not apply to one is absent.
        always: what its numbers cannot be read without.
        details: what is told only of results that would be called the same otherwise.
        names: what else tells them apart then, by what it is, best first.
    """

    method: str
    letter: str
    dataset: tuple[str, str]
    given: str = ""
    leading: dict[str, str] = field(default_factory=dict)
    always: tuple[str, ...] = ()
    details: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def label(self, told: set[str]) -> str:
        """The given label, or the method and what of it is to be told."""
        if self.given:
            return self.given
        said = {key: text for key, text in self.leading.items() if key in told and text}
        text = self.method + "".join(f" {self.letter}{length}" for length in _taken(said, "length"))
        if reranker := _taken(said, "reranker"):
            text += ", " + " ".join(["re-ranked by", *reranker, *_taken(said, "rerank length")])
        return _with_notes(text, (*said.values(), *self.always))


def labels(records: Sequence[Mapping[str, Any]], stems: Sequence[str]) -> list[str]:
    """A label for each of several results; of one alone, the label in its record.

    Args:
        records: as their JSON is; what an older one lacks is not told.
        stems: of their files, for records that do not even name a method.

    Returns:
        Labels that are unique among results on one dataset and split.
    """
    facts = [read_facts(record, stem) for record, stem in zip(records, stems, strict=True)]
    if len(facts) == 1:
        return [facts[0].given or str(_nested(records[0], "method", "label") or stems[0])]
    told = differing([one.leading for one in facts])
    if told & {"rerank length", "candidates"}:
        told.add("reranker")
    found = [one.label(told) for one in facts]
    tell_apart(facts, found, [one.details for one in facts])
    for name in _NAMES:
        tell_apart(facts, found, [{name: one.names.get(name, "")} for one in facts])
    return numbered(facts, found)


def tell_apart(facts: Sequence[Facts], found: list[str], more: Sequence[Mapping[str, str]]) -> None:
    """Add what differs of ``more`` to the labels in ``found`` that are the same."""
    for members in alike(facts, found):
        told = differing([more[i] for i in members])
        for i in members:
            found[i] = _with_notes(found[i], [text for key, text in more[i].items() if key in told and text])


def differing(texts: Sequence[Mapping[str, str]]) -> set[str]:
    """The keys that have two values among those that have them at all."""
    keys = dict.fromkeys(key for one in texts for key in one)
    return {key for key in keys if len({one[key] for one in texts if key in one}) > 1}


def alike(facts: Sequence[Facts], found: Sequence[str]) -> list[list[int]]:
    """Results that would be called the same, in groups of at least two."""
    groups: dict[tuple[object, str], list[int]] = {}
    for i, (one, label) in enumerate(zip(facts, found, strict=True)):
        groups.setdefault((one.dataset, label), []).append(i)
    return [members for members in groups.values() if len(members) > 1]


def numbered(facts: Sequence[Facts], found: list[str]) -> list[str]:
    """The same test done twice: the second is called "... (2)"."""
    seen: Counter[tuple[object, str]] = Counter()
    unique = []
    for one, label in zip(facts, found, strict=True):
        seen[one.dataset, label] += 1
        number = seen[one.dataset, label]
        unique.append(label if number == 1 else f"{label} ({number})")
    return unique


def read_facts(record: Mapping[str, Any], stem: str) -> Facts:
    """What a record, as its JSON is, says of how queries were answered."""
    method, data = (_mapping(record.get(key)) for key in ("method", "data"))
    options, weights = _mapping(record.get("options")), _mapping(method.get("weights"))
    flags = _mapping(weights.get("flags"))
    run = PurePath(str(weights.get("path", ""))).parent.parent.name
    return Facts(
        method=str(method.get("pooling") or method.get("label") or stem),
        letter="S" if method.get("out_dims") else "L",
        dataset=(str(data.get("dataset")), str(data.get("split"))),
        given=str(options.get("label") or ""),
        leading=leading(method, data),
        always=cautions(method, data),
        details=details(method, data, options),
        names=dict(zip(_NAMES, (str(options.get("expName") or ""), str(flags.get("expName") or ""), run), strict=True)),
    )


def leading(method: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, str]:
    """How a window became an answer, by what it is."""
    searched = bool(method.get("out_dims"))
    found = {"reranker": str(method.get("rerank") or ""), "precision": "bfloat16" if method.get("amp") else ""}
    found["direction"] = _DIRECTIONS.get(str(method.get("direction")), "")
    if "sequence_length" in method:
        found["length"] = str(method["sequence_length"])
    if method.get("rerank"):
        found |= {"rerank length": f"L{method.get('rerank_length')}", "candidates": f"top {method.get('top_k')}"}
    if matcher := method.get("matcher"):
        found["matcher"] = str(matcher)
        for flag, value in _mapping(method.get("matcher_options")).items():
            found[f"{matcher} {flag}"] = _said(flag, value)
    if searched:
        index = str(method.get("index") or "Flat")
        found["index"] = "exact search" if index == "Flat" else index
        paces = method.get("map_paces") or [1]
        found["map paces"] = f"map at paces {' '.join(f'{pace:g}' for pace in paces)}" if len(paces) > 1 else ""
        found |= {"pace cost": f"paceCost {method['pace_cost']:g}"} if method.get("pace_cost") is not None else {}
        found |= {f"{index} {key}": _said(key, value) for key, value in _mapping(method.get("index_settings")).items()}
    if path := _nested(method, "predictions", "path"):
        found["predictions"] = f"candidates of {PurePath(str(path)).name}"
    if encoder := _nested(data, "reference", "descriptors", "encoder"):
        found["frames"] = str(encoder)
    found["adaptation"] = "" if looks_ahead(data) else adapted(data)
    return found


def adapted(data: Mapping[str, Any]) -> str:
    """How frames were adapted, as the label in the record says it; empty where they were not."""
    found = _mapping(data.get("adaptation"))
    text = "adapted, scaled" if found.get("scale") else "adapted" if found else ""
    return f"{text}, looking ahead" if looks_ahead(data) else text


def looks_ahead(data: Mapping[str, Any]) -> bool:
    """Whether queries were adapted by later frames too."""
    return bool(_nested(data, "adaptation", "looks_ahead"))


def cautions(method: Mapping[str, Any], data: Mapping[str, Any]) -> tuple[str, ...]:
    """What numbers cannot be read without: weights trained from random ones where others are published, frames that
    were adapted by later ones, frame descriptors of random weights, or made differently."""
    sides = [_mapping(_nested(data, side, "descriptors")) for side in ("reference", "query")]
    random = {str(side.get("encoder")) for side in sides if _nested(side, "weights", "kind") == "random"}
    started = str(_nested(method, "weights", "flags", "startedFrom") or "")
    found = [f"from {started}"] if started.startswith("random weights") else []
    found += [adapted(data)] if looks_ahead(data) else []
    found += ["frame descriptors made differently"] if data.get("descriptor_differences") else []
    return (*found, *([f"random {', '.join(sorted(random))}"] if random else []))


def details(method: Mapping[str, Any], data: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, str]:
    """Every other option of the runs behind a result, of the test and of the frame descriptors."""
    found: dict[str, str] = {}
    told: dict[str, Any] = {}
    sources = (("", "weights"), ("re-ranked with ", "rerank_weights"))
    for prefix, flags in (
        *((prefix, _mapping(_nested(method, key, "flags"))) for prefix, key in sources),
        ("test ", options),
    ):
        for flag, value in flags.items():
            if flag not in _SILENT and told.get(flag, _NOTHING) != value:
                found[f"{prefix}{flag}"] = (prefix if flag in told else "") + _said(flag, value)
                told.setdefault(flag, value)
    for key, value in _mapping(_nested(data, "reference", "descriptors")).items():
        if key not in ("encoder", "names"):
            found[f"frames {key}"] = _said(key, value)
    return found


def _said(name: str, value: Any) -> str:
    """An option in words; nothing of a switch that is off."""
    if isinstance(value, bool):
        return name if value else ""
    if isinstance(value, list | tuple):
        return f"{name} {' '.join(map(str, value)) or 'none'}"
    if isinstance(value, dict):
        return f"{name} {', '.join(f'{key} {one}' for key, one in value.items())}"
    return f"{name} {value:g}" if isinstance(value, float) else f"{name} {value if value not in (None, '') else 'none'}"


def _taken(texts: dict[str, str], key: str) -> list[str]:
    """The text of a key, removed; none where there is none."""
    return [texts.pop(key)] if key in texts else []


def _with_notes(label: str, notes: Sequence[str]) -> str:
    """A label with more in its brackets."""
    if not notes:
        return label
    joined = "; ".join(notes)
    return f"{label[:-1]}; {joined})" if label.endswith(")") else f"{label} ({joined})"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _nested(value: Any, *keys: str) -> Any:
    for key in keys:
        value = _mapping(value).get(key)
    return value
