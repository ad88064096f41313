"""A codebook of a sample's features: the few vectors that stand for all of them, so that a cache fits on a disk."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.cluster.vq import kmeans2

from ..teacher.base import FeatureSupervision

_ROUNDS = 3
_SEED = 0


def with_codebook(supervision: FeatureSupervision, size: int) -> FeatureSupervision:
    """Return supervision of at most `size` vectors, found by k-means, of which every point has the one of its cluster.

    Vectors are means of their members' features. The same supervision gives the same codebook.
    """
    count = len(supervision.vectors)
    if count <= size:
        return supervision
    vectors = supervision.vectors.astype(np.float32)
    first = np.random.default_rng(_SEED).choice(count, size, replace=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a cluster that nobody belongs to is dropped below
        _, cluster = kmeans2(vectors, vectors[first], iter=_ROUNDS, minit="matrix")
    return FeatureSupervision.of_groups(
        supervision.points,
        supervision.rows,
        supervision.code,
        cluster.astype(np.int64)[supervision.vector_of_row],
        supervision.weight,
    )
