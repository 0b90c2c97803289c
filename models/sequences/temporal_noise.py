"""How what changes within a place from drive to drive goes together in time, and steps without what was foreseeable.

Between two drives a place changes by what is new in every frame (noise, traffic, the exact viewpoint) and by what
lasts (light, weather, season). With whitened frames both are alike in all dimensions, so that two numbers say it all:
the share of the change that lasts, and by how much of it is left a frame later. The correlation of the change k frames
apart is then share * persistence ** k for k > 0, which is an autoregressive process of order one in white noise.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from opticornet.models.sequences.place_pairs import PlacePairs

LAGS = 9  # frames apart, up to which correlations are looked at
CAUTION = 1.3  # by which an estimated share is divided, as few pairs overstate it; chosen on folds of training routes
_PAIRS = 8192  # that are looked at
_BOUNDS = (1e-3, 1 - 1e-3)


def correlation(share: Tensor, persistence: Tensor, length: int) -> Tensor:
    """(L, L) correlation of the change in ``length`` consecutive frames."""
    frames = torch.arange(length, device=share.device)
    lags = (frames[:, None] - frames).abs()
    return torch.where(lags == 0, 1.0, share * persistence ** lags.to(share.dtype))


@dataclass(frozen=True)
class Persistence:
    """What lasts of the change within a place.

    Attributes:
        share: 0 to 1, of its variance.
        persistence: 0 to 1, correlation of what lasts from one frame to the next.
    """

    share: float
    persistence: float

    def correlation(self, length: int) -> Tensor:
        """(L, L) float64, see :func:`correlation`."""
        share, persistence = torch.tensor([self.share, self.persistence], dtype=torch.float64)
        return correlation(share, persistence, length)

    @classmethod
    def of(cls, pairs: PlacePairs, matrix: Tensor) -> "Persistence":
        """Estimated from the changes of pairs seen through a whitening ``matrix`` (C, D): least squares over the lags,
        persistence on a grid; nothing lasts where no pair is followed by another."""
        pairs = pairs.stretch(0, min(len(pairs), _PAIRS))
        change = (pairs.queries - pairs.references).to(matrix) @ matrix.T  # (P, C)
        found = autocorrelations(change, pairs.following, LAGS)
        if not len(found):
            return cls(0.0, 0.0)
        lags = torch.arange(1, len(found) + 1, dtype=torch.float64)
        grid = torch.linspace(0.02, 1, 50, dtype=torch.float64)
        shapes = grid[:, None] ** lags  # (G, K)
        shares = ((shapes @ found) / shapes.square().sum(1)).clamp(0, 1)
        best = int((shares[:, None] * shapes - found).square().sum(1).argmin())
        return cls(float(shares[best]) / CAUTION, float(grid[best]))


def autocorrelations(rows: Tensor, following: Tensor, lags: int) -> Tensor:
    """(K,) float64 on the CPU: mean products of rows (P, C) with those 1 to K frames on, over their mean squares.

    Args:
        following: (P,) int64, the next row; -1 for none. K is ``lags``, or less where no row is followed so far.
    """
    found, ahead = [], torch.arange(len(rows), device=rows.device)
    square = rows.square().sum(1)
    here = ahead
    for _ in range(lags):
        ahead = following[ahead]
        here, ahead = here[ahead >= 0], ahead[ahead >= 0]
        if not len(here):
            break
        scale = (square[here].sum() * square[ahead].sum()).sqrt().clamp(min=1e-30)
        found.append(float((rows[here] * rows[ahead]).sum() / scale))
    return torch.tensor(found, dtype=torch.float64)


class TemporalDifferencing(nn.Module):
    """Steps minus what the steps before them in the window let expect of the change: a learnable sequence delta.

    By :class:`Persistence` the change of step t is best foretold from those before by a Kalman filter; what is left of
    it, the innovations, is white. The whole is one lower triangular matrix, the inverse Cholesky factor of
    :func:`correlation`, for windows of any length, and the first step, before which nothing was seen, stays as it is.
    There is no ``forward``: whatever is linear in the steps may be multiplied by :meth:`matrix` in their place.

    Attributes:
        share, persistence: scalars, before the logistic function, so that training cannot leave 0 to 1.
    """

    def __init__(self) -> None:
        super().__init__()
        self.share, self.persistence = nn.Parameter(torch.empty(())), nn.Parameter(torch.empty(()))
        self.start(Persistence(0.25, 0.8))

    @torch.no_grad()
    def start(self, noise: Persistence) -> None:
        """Set the parameters."""
        for parameter, value in ((self.share, noise.share), (self.persistence, noise.persistence)):
            parameter.copy_(torch.tensor(value).clamp(*_BOUNDS).logit())

    def matrix(self, steps: int) -> Tensor:
        """(T, T) lower triangular: what it multiplies T steps by."""
        expected = correlation(self.share.sigmoid(), self.persistence.sigmoid(), steps)
        with torch.autocast(expected.device.type, enabled=False):
            factor, _ = torch.linalg.cholesky_ex(expected.float())  # of what is not finite not finite, and no error
            one = torch.eye(steps, device=factor.device)
            return torch.linalg.solve_triangular(factor, one, upper=False)
