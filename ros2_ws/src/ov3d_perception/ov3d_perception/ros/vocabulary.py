"""Vocabularies at run time: a request for words becomes queries with colours, made beside the running node."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..artifact import ModelCard
from ..config import THRESHOLD_OF_BUNDLE, NodeConfig
from ..errors import ConfigError, QueryError
from ..palette import label_colors
from ..queries import LabelSpec, QuerySet, drop_asked, make_queries, parse_labels

if TYPE_CHECKING:
    from ..text.encoder import TextEncoder


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """Queries and what they look like: `colors` (Q + 1, 3) uint8 by label id, row 0 for unlabelled points."""

    queries: QuerySet
    colors: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class VocabularyRequest:
    """What somebody asked for; None stands for the default of the node (its parameters, else the bundle's card)."""

    labels: tuple[LabelSpec, ...]
    background: tuple[str, ...] | None = None
    templates: tuple[str, ...] | None = None
    threshold: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VocabularyDefaults:
    """What a request leaves open."""

    background: tuple[str, ...]
    templates: tuple[str, ...]
    threshold: float


def defaults_of(config: NodeConfig, card: ModelCard) -> VocabularyDefaults:
    """Return the node's parameters, and the card's entries where they are silent."""
    return VocabularyDefaults(
        background=() if config.no_background else config.background or card.background,
        templates=card.templates,
        threshold=card.threshold if config.threshold == THRESHOLD_OF_BUNDLE else config.threshold,
    )


def first_request(config: NodeConfig, card: ModelCard) -> VocabularyRequest:
    """Return the vocabulary to start with: the parameter `queries`, else the card's labels.

    Raises `ConfigError` when neither holds any, `QueryError` for words that cannot be used.
    """
    if config.queries:
        return VocabularyRequest(labels=parse_labels(",".join(config.queries)))
    if card.labels:
        return VocabularyRequest(labels=card.labels)
    raise ConfigError(
        f'parameter queries: empty, and the card of bundle {card.name} has no labels. Set queries:=["car", "person"].'
    )


def requested(
    labels: Sequence[LabelSpec],
    background: Sequence[str],
    no_background: bool,
    templates: Sequence[str],
    threshold: float,
) -> VocabularyRequest:
    """Turn the fields of a SetQueries request into a `VocabularyRequest` (its comments define what empty means)."""
    if no_background and background:
        raise QueryError("no_background: true, but `background` holds words. Set only one of them.")
    return VocabularyRequest(
        labels=tuple(labels),
        background=() if no_background else tuple(background) or None,
        templates=tuple(templates) or None,
        threshold=None if math.isnan(threshold) or threshold == THRESHOLD_OF_BUNDLE else threshold,
    )


def make_vocabulary(
    request: VocabularyRequest, encoder: TextEncoder, defaults: VocabularyDefaults, *, version: int
) -> Vocabulary:
    """Check and encode a request; may take seconds with a large text tower. Raises `QueryError`."""
    background = request.background
    if background is None:
        background = drop_asked(defaults.background, request.labels)
    queries = make_queries(
        request.labels,
        encoder,
        templates=defaults.templates if request.templates is None else request.templates,
        background=background,
        threshold=defaults.threshold if request.threshold is None else request.threshold,
        version=version,
    )
    return Vocabulary(queries=queries, colors=label_colors(queries.names))
