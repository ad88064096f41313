"""`/diagnostics`: one status a second that says what runs, how fast, and what was dropped why."""

from __future__ import annotations

from collections.abc import Mapping

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from .statistics import SUPERSEDED, Snapshot

SILENCE_S = 3.0
"""Without a cloud for longer than this the status is a warning that names the topic."""


def diagnostic_message(
    snapshot: Snapshot, facts: Mapping[str, str], *, node_name: str, topic: str, stamp: Time
) -> DiagnosticArray:
    """Make the message; `facts` are what does not change from sweep to sweep (bundle, provider, queries version)."""
    level, summary = summarise(snapshot, topic)
    status = DiagnosticStatus(
        level=level,
        name=f"{node_name}: segmentation",
        message=summary,
        hardware_id=facts.get("bundle", ""),
        values=[KeyValue(key=key, value=value) for key, value in {**facts, **figures(snapshot)}.items()],
    )
    array = DiagnosticArray(status=[status])
    array.header.stamp = stamp
    return array


def summarise(snapshot: Snapshot, topic: str) -> tuple[bytes, str]:
    """Return level and one line: faults of the last period first, then silence, then all is well."""
    faults = {reason: count for reason, count in snapshot.new_drops.items() if reason != SUPERSEDED}
    if faults:
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(faults.items()))
        return DiagnosticStatus.WARN, f"clouds dropped: {reasons}. Last: {snapshot.last_error}"
    if snapshot.silent_s > SILENCE_S:
        waited = "no cloud yet" if snapshot.received == 0 else f"no cloud for {snapshot.silent_s:.0f} s"
        return DiagnosticStatus.WARN, f"{waited} on {topic}. Check its name, its publisher and the QoS."
    return DiagnosticStatus.OK, f"{snapshot.rate_out_hz:.1f} Hz, p95 {snapshot.latency_p95_ms:.0f} ms"


def figures(snapshot: Snapshot) -> dict[str, str]:
    """Return counts, rates and latencies as diagnostic values, units in the names."""
    values = {
        "received": str(snapshot.received),
        "published": str(snapshot.published),
        "relabelled": str(snapshot.relabelled),
        "rate_in_hz": f"{snapshot.rate_in_hz:.2f}",
        "rate_out_hz": f"{snapshot.rate_out_hz:.2f}",
        "latency_p50_ms": f"{snapshot.latency_p50_ms:.1f}",
        "latency_p95_ms": f"{snapshot.latency_p95_ms:.1f}",
    }
    values.update({f"stage_{stage}_ms": f"{value:.1f}" for stage, value in snapshot.timings_ms.items()})
    values.update({f"dropped_{reason}": str(count) for reason, count in sorted(snapshot.drops.items())})
    return values
