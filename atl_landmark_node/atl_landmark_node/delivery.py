"""How sound is delivered by a face: whether it is speech, how far a mouth moves for it, how loud it is.

A mouth isn't held shut where there seems to be no speech: the network has learnt to rest in noise, and lips that open before
a word, or stay open in a pause, are as they should be. (A gate by the probability of speech cost .05 of the lip gap's r
against real motion, and kept no noise out.)
"""
import numpy as np

SPEAKING = 0.1  # probability of speech: less is a frame in which nobody speaks


def is_speech(probability: float) -> bool:
    """Whether somebody speaks in a frame of this probability of speech."""
    return bool(probability > SPEAKING)


def articulation(style: float) -> float:
    """What an `Expression.style` scales speech by: lips speak at half their motion in a face that is else still."""
    return 0.5 + 0.5 * style


def loudness(features: np.ndarray) -> float:
    """0 (silence) to 1 (loud speech) of the log-mel features of a landmark frame, any shape."""
    return float(np.clip(features.mean() + 0.5, 0, 1))
