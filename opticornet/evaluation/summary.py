"""A result record in a few lines for the terminal."""

from opticornet.evaluation import records

TELLING_CHANCE = 0.5  # recall@1 of random references above which a recall is warned of


def summary(record: records.ResultRecord) -> str:
    """The result in a few lines for the terminal."""
    data, method, protocol = record.data, record.method, record.protocol
    head = f"{method.label} on {data.dataset} ({data.split}): "
    lines = scores(record, head) if protocol.counted else [f"{head}{unscored(data, protocol)}"]
    if method.direction == "both":
        lines.append(f"  {method.backwards:.1%} of the queries matched better the other way")
    if data.adaptation is not None:
        lines.append(f"  {adaptation_text(data.adaptation)}")
    lines += warnings(data)
    if record.recall_interval:
        low, high = record.recall_interval["1"]
        block = f"{protocol.bootstrap_block} neighbouring queries" if protocol.bootstrap_block > 1 else "single queries"
        lines.append(
            f"  R@1 95 % interval {low:.3f} to {high:.3f} ({protocol.bootstrap_samples} resamplings, blocks of {block})"
        )
    if protocol.chance is not None and protocol.chance > TELLING_CHANCE:
        lines.append(
            f"  warning: a reference drawn at random is correct for {100 * protocol.chance:.0f} % of the queries, so "
            "that these recalls say little of the method"
        )
    if record.place_auc is not None:
        lines.append(f"  queries with and without a place told apart by best distance: AUC {record.place_auc:.3f}")
    if record.no_answer is not None:
        lines.append(f"  {answered_text(record.no_answer)}")
    if record.recall_before_rerank:
        lines.append(f"  before re-ranking: R@1 {record.recall_before_rerank['1']:.3f}")
    if method.rerank_weight is not None and method.rerank_weight.criterion != "given":
        lines.append(f"  {weight_text(method.rerank_weight)}")
    if record.recall_exact_index:
        lost = record.recall_exact_index["1"] - (record.recall_before_rerank or record.recall)["1"]
        lines.append(f"  index {method.index}: R@1 {lost:+.3f} lost against exact search")
    lines += stress_lines(record.stress, protocol.ks)
    if record.timing.latency_ms:
        parts = ", ".join(f"{step} {t.median:.2f} (p95 {t.p95:.2f})" for step, t in record.timing.latency_ms.items())
        unsteady = any(t.unsteady for t in record.timing.latency_ms.values())
        lines.append(f"  ms per query, one thread: {parts}{' (unsteady: measure again)' if unsteady else ''}")
    lines.append(f"  {memory_text(record)}")
    return "\n".join(lines)


def scores(record: records.ResultRecord, head: str) -> list[str]:
    """What was counted, and the recalls."""
    data, protocol = record.data, record.protocol
    unit = data.units.removesuffix("s") if data.positive_radius == 1 else data.units
    within = "the split's table" if data.positive_radius is None else f"{data.positive_radius:g} {unit}"
    ks = [str(k) for k in protocol.ks]
    return [
        f"{head}{protocol.counted} of {protocol.queries} queries counted, {data.reference.kept} references, correct "
        f"within {within}",
        "  " + "".join(f"{'R@' + k:>8}" for k in ks) + "      AP  R@P=1",
        "  " + "".join(f"{record.recall[k]:8.3f}" for k in ks)
        + f"{record.average_precision:8.3f}{record.recall_at_full_precision:7.3f}",
        *by_seqnets_count(record, ks),
        *(per_drive(record, name, ks) for name in record.recall_per_drive),
    ]  # fmt: skip


def by_seqnets_count(record: records.ResultRecord, ks: list[str]) -> list[str]:
    """The recalls with every reference judged for itself, below those of equal windows as one, where they differ."""
    each = record.recall_each
    if each in ({}, record.recall):
        return []
    return ["  " + "".join(f"{each[k]:8.3f}" for k in ks) + "  equal windows judged each alone, as SeqNet counts"]


def per_drive(record: records.ResultRecord, name: str, ks: list[str]) -> str:
    """The recalls of one query drive, below those of all; dashes where nothing was counted."""
    recall, counted = record.recall_per_drive[name], record.counted_per_drive[name]
    numbers = "".join(f"{recall[k]:8.3f}" if recall else f"{'-':>8}" for k in ks)
    return f"  {numbers}  {name}, {counted} counted"


def unscored(data: records.DataRecord, protocol: records.ProtocolRecord) -> str:
    """Why there is no recall."""
    answers = f"{protocol.queries} queries answered from {data.reference.kept} references"
    if data.truth == "none":
        return f"{answers}; no ground truth, so no recall"
    within = "in the split's table" if data.positive_radius is None else f"within {data.positive_radius:g} {data.units}"
    return f"{answers}; no query has a reference {within}, so no recall"


def adaptation_text(adaptation: records.AdaptationRecord) -> str:
    """How frames were adapted, in words."""
    done = "centred and scaled" if adaptation.scale else "centred"
    if adaptation.looks_ahead:
        return f"frames {done} by their whole traverse, of queries too, which looks ahead: no robot could"
    return (
        f"frames {done}: the map's by all of them, a query's by those up to it, begun from {adaptation.begun_from} as "
        f"{adaptation.begun_with} frames"
    )


def answered_text(no_answer: records.NoAnswerRecord) -> str:
    """How the queries fare by the threshold, and where it comes from."""
    where = f"{no_answer.criterion} on {no_answer.chosen_on}" if no_answer.chosen_on else no_answer.criterion
    tested = no_answer.tested
    text = f"no answer above {no_answer.threshold:.4g} ({where}): {tested.answered} answered, {tested.refused} refused"
    if tested.right is None:
        return text
    placed = (tested.right, tested.wrong, tested.refused_with_place)
    text += "; with a place: {} right, {} wrong, {} refused".format(*placed)
    text += f"; without: {tested.refused_without_place} refused, {tested.wrong_without_place} answered"
    shares = {"precision": tested.precision, "recall": tested.recall, "rejection recall": tested.rejection_recall}
    return text + "".join(f", {name} {value:.3f}" for name, value in shares.items() if value is not None)


def weight_text(weight: records.RerankWeightRecord) -> str:
    """How much the searched distance weighs, and why so much."""
    text = f"weight of the searched distance {weight.weight:g} ({weight.criterion}"
    return f"{text} on {', '.join(weight.chosen_on)})" if weight.chosen_on else f"{text})"


def stress_lines(stress: dict[str, dict[str, float]], ks: list[int]) -> list[str]:
    """The recalls of the altered drives, one a line below a heading; none where they were not measured."""
    if not stress:
        return []
    width = max(map(len, stress))
    heading = f"  {'queries driven':{width}}" + "".join(f"{f'R@{k}':>8}" for k in ks)
    rows = (f"  {name:{width}}" + "".join(f"{recall[str(k)]:8.3f}" for k in ks) for name, recall in stress.items())
    return [heading, *rows]


def memory_text(record: records.ResultRecord) -> str:
    """What the method adds to the process, and its peak."""
    peak = f"peak memory {record.peak_memory_mib:.0f} MiB"
    return (
        peak if record.added_memory_mib is None else f"{peak}, of which the method adds {record.added_memory_mib:.0f}"
    )


def warnings(data: records.DataRecord) -> list[str]:
    """What limits the recalls' meaning: frame descriptors of random weights, or made differently."""
    random = [
        f"  warning: descriptors of {drive.name} are by {drive.descriptors.encoder} with random weights; they say "
        "nothing about trained ones"
        for side in (data.reference, data.query)
        for drive in side.drives or (side,)
        if drive.descriptors and drive.descriptors.is_random
    ]
    return random + [f"  warning: descriptors were made differently: {found}" for found in data.descriptor_differences]


def splits_table(results: dict[str, records.ResultRecord]) -> str:
    """The results of several splits, one a line; a dash where nothing was counted."""
    ks = list(dict.fromkeys(str(k) for record in results.values() for k in record.protocol.ks))
    width = max(5, *map(len, results))
    lines = [f"{'split':{width}}  queries  counted  references" + "".join(f"{'R@' + k:>8}" for k in ks) + "      AP"]
    for name, record in results.items():
        counts = f"{record.protocol.queries:9}{record.protocol.counted:9}{record.data.reference.kept:12}"
        numbers = (*(record.recall.get(k) for k in ks), record.average_precision)
        shown = "".join(f"{'-':>8}" if number is None else f"{number:8.3f}" for number in numbers)
        lines.append(f"{name:{width}}{counts}{shown}")
    return "\n".join(lines)
