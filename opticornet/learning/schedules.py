"""Learning rates over the epochs: functions of the epoch's number alone, so that nothing of them needs restoring."""

import math


def step_rate(lr: float, gamma: float, step: int, epoch: int) -> float:
    """``lr`` times ``gamma`` for each ``step`` epochs done."""
    return lr * gamma ** (epoch // step)


def cosine_rate(lr: float, epochs: int, epoch: int) -> float:
    """From ``lr`` down to zero along half a cosine over ``epochs`` epochs."""
    return lr * 0.5 * (1 + math.cos(math.pi * epoch / epochs))
