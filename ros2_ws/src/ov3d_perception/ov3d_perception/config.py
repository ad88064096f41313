"""`NodeConfig`: every parameter of the node once, with its range and its description.

ROS parameters are declared from it, YAML files and command lines are checked against it, and the documentation's table
is compared with it by a test. A value that cannot be used is a `ConfigError` that says what would be.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, cast

from .errors import ConfigError

THRESHOLD_OF_BUNDLE = -2.0
"""Threshold that stands for "the one in the bundle's card"; cosine similarities themselves lie in [-1, 1]."""

DEVICES = ("auto", "cpu", "cuda")
RELIABILITIES = ("best_effort", "reliable")

Value = str | float | int | bool | tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """What is known about one parameter: enough to declare it to ROS, to check a value and to document it."""

    name: str
    kind: type
    default: Value
    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()

    @property
    def range_text(self) -> str:
        """The permitted values in words, empty when any value of the type will do."""
        if self.choices:
            return ", ".join(self.choices)
        if self.minimum is None:
            return ""
        return f"{self.minimum:,} to {self.maximum:,}"


def _parameter(default: Any, description: str, **limits: Any) -> Any:
    return field(default=default, metadata={"description": description, **limits})


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """Parameters of the segmentation node, set at start and constant while it runs.

    Raises `ConfigError` on construction for a value of the wrong type or out of range.
    """

    bundle: str = _parameter(
        "", "Folder of the model bundle (student.onnx with bank.npz, or with text.onnx and tokenizer.json). Required."
    )
    queries: tuple[str, ...] = _parameter(
        (),
        'Words to look for at start, synonyms after bars: ["car", "person|pedestrian"]. Empty: the bundle\'s.',
    )
    background: tuple[str, ...] = _parameter(
        (), "Words that compete with the queries but leave a point unlabelled. Empty: the bundle's."
    )
    no_background: bool = _parameter(False, "Use no background words at all, not even the bundle's.")
    threshold: float = _parameter(
        THRESHOLD_OF_BUNDLE,
        "Cosine similarity (-1 to 1) below which a point stays unlabelled. -2: the bundle's.",
        minimum=-2.0,
        maximum=1.0,
    )
    device: str = _parameter(
        "auto", "Where the network runs: cuda insists on it, auto takes it where it is.", choices=DEVICES
    )
    threads: int = _parameter(0, "CPU threads of the network. 0: onnxruntime's choice.", minimum=0, maximum=256)
    max_points: int = _parameter(
        2_000_000, "Clouds with more points are dropped and counted.", minimum=1, maximum=50_000_000
    )
    input_reliability: str = _parameter(
        "best_effort",
        "QoS of the cloud subscription; best_effort meets every publisher, reliable only reliable ones.",
        choices=RELIABILITIES,
    )
    stats_period_s: float = _parameter(1.0, "Seconds between two messages on /diagnostics.", minimum=0.1, maximum=60.0)
    text_cache: str = _parameter(
        "", "Folder where encoded words are kept between runs, ~ is allowed. Empty: kept in memory only."
    )

    def __post_init__(self) -> None:
        for parameter in PARAMETERS:
            check_value(parameter, getattr(self, parameter.name))
        if THRESHOLD_OF_BUNDLE < self.threshold < -1.0:
            raise ConfigError(f"parameter threshold: got {self.threshold}, expected -1 to 1, or -2 for the bundle's.")
        if self.no_background and self.background:
            raise ConfigError("parameter no_background: true, but `background` holds words. Set only one of them.")


def check_value(parameter: Parameter, value: Any) -> None:
    """Raise `ConfigError` unless the value has the parameter's type and lies in its range or choices."""
    name = f"parameter {parameter.name}"
    if not isinstance(value, parameter.kind) or (parameter.kind is not bool and isinstance(value, bool)):
        raise ConfigError(f"{name}: got {value!r} of type {type(value).__name__}, expected {parameter.kind.__name__}.")
    if isinstance(value, tuple) and not all(isinstance(word, str) for word in value):
        raise ConfigError(f"{name}: got {value!r}, expected words only.")
    if parameter.choices and value not in parameter.choices:
        raise ConfigError(f"{name}: got {value!r}, expected one of {parameter.range_text}.")
    if parameter.minimum is not None and parameter.maximum is not None:
        assert isinstance(value, (int, float))
        if not (math.isfinite(value) and parameter.minimum <= value <= parameter.maximum):
            raise ConfigError(f"{name}: got {value}, expected {parameter.range_text}.")


def node_config(values: Mapping[str, Any]) -> NodeConfig:
    """Make a `NodeConfig` from names and values as YAML, ROS or a command line give them.

    Lists become tuples and lose empty words (ROS cannot pass an empty list of strings, [""] stands for it); whole
    numbers are accepted for floats. Raises `ConfigError` for an unknown name, a wrong type or a value out of range.
    """
    known = {parameter.name: parameter for parameter in PARAMETERS}
    converted: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise ConfigError(f"parameter {name}: unknown.{_nearest(name, tuple(known))}")
        if known[name].kind is tuple and isinstance(value, (list, tuple)):
            value = tuple(word for word in value if not (isinstance(word, str) and not word.strip()))
        elif known[name].kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        converted[name] = value
    return NodeConfig(**converted)


def _nearest(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f" Did you mean {close[0]}?" if close else f" Known: {', '.join(known)}."


def _describe() -> tuple[Parameter, ...]:
    return tuple(
        Parameter(name=entry.name, kind=type(entry.default), default=cast(Value, entry.default), **entry.metadata)
        for entry in fields(NodeConfig)
    )


PARAMETERS = _describe()
"""All parameters in order of declaration."""
