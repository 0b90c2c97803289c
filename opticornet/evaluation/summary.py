"""A result record in a few lines for the terminal."""

from opticornet.evaluation import records


def summary(record: records.ResultRecord) -> str:
    """The result in a few lines for the terminal."""
    data, method, protocol = record.data, record.method, record.protocol
    ks = [str(k) for k in protocol.ks]
    unit = data.units.removesuffix("s") if data.positive_radius == 1 else data.units
    within = "the split's table" if data.positive_radius is None else f"{data.positive_radius:g} {unit}"
    lines = [
        f"{method.label} on {data.dataset} ({data.split}): {protocol.counted} of {protocol.queries} queries counted, "
        f"{data.reference.kept} references, correct within {within}",
        "  " + "".join(f"{'R@' + k:>8}" for k in ks) + "      AP  R@P=1",
        "  " + "".join(f"{record.recall[k]:8.3f}" for k in ks)
        + f"{record.average_precision:8.3f}{record.recall_at_full_precision:7.3f}",
    ]  # fmt: skip
    if method.direction == "both":
        lines.append(f"  {method.backwards:.1%} of the queries matched better the other way")
    lines += warnings(data)
    if record.recall_interval:
        low, high = record.recall_interval["1"]
        block = f"{protocol.bootstrap_block} neighbouring queries" if protocol.bootstrap_block > 1 else "single queries"
        lines.append(
            f"  R@1 95 % interval {low:.3f} to {high:.3f} ({protocol.bootstrap_samples} resamplings, blocks of {block})"
        )
    if record.recall_before_rerank:
        lines.append(f"  before re-ranking: R@1 {record.recall_before_rerank['1']:.3f}")
    if record.recall_exact_index:
        lost = record.recall_exact_index["1"] - (record.recall_before_rerank or record.recall)["1"]
        lines.append(f"  index {method.index}: R@1 {lost:+.3f} lost against exact search")
    if record.timing.latency_ms:
        parts = ", ".join(f"{step} {t.median:.2f} (p95 {t.p95:.2f})" for step, t in record.timing.latency_ms.items())
        lines.append(f"  ms per query: {parts}; peak memory {record.peak_memory_mib:.0f} MiB")
    return "\n".join(lines)


def warnings(data: records.DataRecord) -> list[str]:
    """What limits the recalls' meaning: frame descriptors of random weights, or made differently."""
    random = [
        f"  warning: descriptors of {side.name} are by {side.descriptors.encoder} with random weights; they say "
        "nothing about trained ones"
        for side in (data.reference, data.query)
        if side.descriptors and side.descriptors.is_random
    ]
    return random + [f"  warning: descriptors were made differently: {found}" for found in data.descriptor_differences]
