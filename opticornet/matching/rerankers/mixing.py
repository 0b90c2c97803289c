"""The distances of both stages in one."""

import numpy as np
import torch

from opticornet.matching.ranking import Ranking, sort_candidates


def mixed(searched: Ranking, compared: Ranking, weight: float) -> Ranking:
    """Candidates by the weighted mean of two distances: (1 - weight) * compared + weight * searched.

    Both are Euclidean distances of vectors of unit length, or means of such, so both lie in [0, 2] whatever the data
    and however long the windows are, and so does what comes out. (Squared distances of white noise add up as log
    likelihoods do; measured, their sum orders candidates as well as this mean, which stays a distance.)

    Args:
        searched: (M, K) candidates in any order, -1 for none.
        compared: (M, K) ranking of the same candidates.
        weight: 0 (``compared`` alone, SeqNet's) to 1 (``searched`` alone).
    """
    if weight == 0:
        return compared
    own = distances_of(searched, compared.indices)
    with np.errstate(invalid="ignore"):
        scores = (1 - weight) * compared.distances + weight * own
    scores = np.where(compared.indices < 0, np.inf, scores).astype(np.float32)
    return sort_candidates(torch.from_numpy(scores), torch.from_numpy(compared.indices))


def distances_of(ranking: Ranking, indices: np.ndarray) -> np.ndarray:
    """(M, K) float64 distances in a ranking (M, K) of ``indices`` (M, K), the same references in another order."""
    return ranking.at(_places_of(ranking, indices)).distances.astype(np.float64)


def ways_of(ranking: Ranking, indices: np.ndarray) -> np.ndarray | None:
    """(M, K) int64 ways in a ranking (M, K) of ``indices`` (M, K), the same references in another order; None where it
    has none."""
    return None if ranking.ways is None else ranking.at(_places_of(ranking, indices)).ways


def _places_of(ranking: Ranking, indices: np.ndarray) -> np.ndarray:
    """(M, K) int64: where in the ranking each of ``indices`` stands."""
    rank = indices.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    return np.take_along_axis(ranking.indices.argsort(axis=1, kind="stable"), rank, axis=1)
