"""How far sound may move a mouth: not at all where nobody speaks, and by as much as the style asks for."""
import numpy as np

OPEN_AT, SHUT_AT = 0.2, 0.02  # probability of speech at which the mouth follows fully, and not at all; .5, .15 cost .03 of r


def speech_gate(probability):
    """Share of its motion that a mouth keeps, 0 to 1; a number or an array of probabilities of speech."""
    return np.clip((probability - SHUT_AT) / (OPEN_AT - SHUT_AT), 0, 1)


def articulation(style: float) -> float:
    """What an `Expression.style` scales speech by: lips speak at half their motion in a face that is else still."""
    return 0.5 + 0.5 * style


def loudness(features: np.ndarray) -> float:
    """0 (silence) to 1 (loud speech) of the log-mel features of a landmark frame, any shape."""
    return float(np.clip(features.mean() + 0.5, 0, 1))
