"""Who is in a clip: a person of a name, with face, appearance and mesh; the same every time."""
from dataclasses import dataclass

import numpy as np

from atl_training.corpus.assets import Assets
from atl_training.corpus.glasses import glasses_part
from atl_training.corpus.head import Head, HeadKit
from atl_training.corpus.identity import Identity, random_identity, seat, vary_neck
from atl_training.corpus.look import Person, random_person
from atl_training.corpus.screening import is_sound

HAIR_LIFT = 0.02
TRIES = 20  # faces drawn for one name before giving up: so many in a row mean that something else is wrong


@dataclass
class Cast:
    """An identity with its appearance and mesh."""

    identity: Identity
    person: Person
    head: Head


def identity_name(seed: int, index: int) -> str:
    """The name of a corpus's index-th person; everything about them, split included, follows from it."""
    return f"s{seed}i{index:04d}"


def seed_of(text: str) -> list[int]:
    """A random generator's seed that is a name."""
    return list(text.encode())


def make_cast(assets: Assets, kit: HeadKit, name: str) -> Cast:
    """The person of this name, the first draw whose teeth and eyes stay inside the face."""
    for attempt in range(TRIES):
        rng = np.random.default_rng(seed_of(name if attempt == 0 else f"{name}/{attempt}"))
        identity = random_identity(assets, rng, name)
        vary_neck(assets, identity, rng)
        seat(assets, identity)
        person = random_person(assets, rng, identity)
        cast = Cast(identity, person, build_head(kit, identity, person, float(rng.uniform(0.15, 0.28)), HAIR_LIFT))
        if is_sound(cast.head):
            return cast
    raise RuntimeError(f"{TRIES} faces of {name} in a row have teeth or eyes that poke through: something else is wrong.")


def build_head(kit: HeadKit, identity: Identity, person: Person, rest_brow: float, hair_lift: float = 0.0) -> Head:
    """The mesh of a person."""
    glasses = glasses_part(person.glasses, identity.vertices) if person.glasses else None
    return Head(kit, identity, hair=person.hair, brow=person.brow, lashes=person.lashes, teeth=person.teeth,
                dentition=person.dentition, glasses=glasses, rest_brow=rest_brow, hair_lift=hair_lift)  # fmt: skip
