"""One person's head as a single render mesh that is linear in the expression weights: V = V0 + w . E."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse

from atl_face.topology import LIP_PAIRS, eye_distance
from atl_training.corpus.assets import LANDMARK_VERTICES, LEFT_EYE, RIGHT_EYE, UNITS, UPPER_TEETH, Assets
from atl_training.corpus.dentition import Dentition, arrange, teeth_of
from atl_training.corpus.identity import Identity
from atl_training.corpus.meshdata import Proxy

UNIT = {name: row for row, name in enumerate(UNITS)}
NECK_PIVOT = np.array([0.0, 6.35, 0.35])  # dm: about where the skull nods on the neck
SKULL_CENTRE = (0.0, 7.35, 0.2)
BODY_BOTTOM_Y = 3.9  # dm: below the chest; even the widest framing ends above

# Length of each asset's reference box along x, y, z in the units of its offsets (from MakeHuman's .mhclo files).
_SCALE_PAIRS = ((5399, 11998), (791, 881), (962, 5320))
_SCALES = {
    "short01": (1.6682, 2.8351, 2.3542), "afro01": (1.7412, 2.7409, 2.2613), "short02": (1.4340, 2.4098, 2.0001),
    "short04": (1.48, 2.3298, 1.9221), "eyebrow": (1.4160, 2.3073, 1.9231), "eyelashes": (1.48, 2.3298, 1.9221),
    "": (1.398, 2.2048, 1.8461),
}  # fmt: skip
_TEETH_SCALE = ((15077, 15111, 0.5002), (14993, 15061, 0.3132), (15061, 15068, 0.4465))


@dataclass
class Part:
    """One material's piece: vertices = matrix @ base + offset; `render_*` index unique (vertex, uv) pairs."""

    name: str
    matrix: sparse.csr_matrix  # (n, V)
    offset: np.ndarray  # (n, 3)
    triangles: np.ndarray  # (t, 3) into the part's vertices
    render_vertex: np.ndarray  # (r,) into the part's vertices
    render_uv: np.ndarray  # (r, 2)
    render_triangles: np.ndarray  # (t, 3) into the render vertices


class HeadKit:
    """What every head of one `Assets` shares: the parts that don't depend on hair, teeth or brow choice."""

    def __init__(self, assets: Assets):
        self.assets = assets
        mesh = assets.mesh
        corners = mesh.vertices[mesh.faces]  # (F, 4, 3)
        low, wide = corners[..., 1].min(1), np.abs(corners[..., 0]).max(1)
        body = (mesh.groups == "body") & (low > BODY_BOTTOM_Y) & (wide < 2.9)
        cloth = (mesh.groups == "helper-tights") & (low > BODY_BOTTOM_Y) & (wide < 3.1) & (low < 6.6)
        eyes = np.isin(mesh.groups, ["helper-l-eye", "helper-r-eye"])
        self.body, self.body_ids = self._cut("body", body)
        self.cloth, _ = self._cut("cloth", cloth)
        self.eyes, eye_ids = self._cut("eyes", eyes)
        self.eyes.render_uv = self._planar_eye_uv(eye_ids[self.eyes.render_vertex])
        row_of = {int(vertex): row for row, vertex in enumerate(self.body_ids)}
        self.landmark_rows = np.array([row_of[int(vertex)] for vertex in LANDMARK_VERTICES])

    def _cut(self, name: str, mask: np.ndarray) -> tuple[Part, np.ndarray]:
        mesh = self.assets.mesh
        ids, inverse = np.unique(mesh.faces[mask], return_inverse=True)
        faces = inverse.reshape(-1, 4)
        matrix = sparse.csr_matrix(
            (np.ones(len(ids)), (np.arange(len(ids)), ids)), shape=(len(ids), len(mesh.vertices))
        )
        return make_part(name, matrix, np.zeros((len(ids), 3)), faces, mesh.face_uvs[mask], mesh.uvs), ids

    def _planar_eye_uv(self, ids: np.ndarray) -> np.ndarray:
        """Look straight at each eyeball: the iris texture's middle is its front pole."""
        vertices = self.assets.mesh.vertices
        centres = np.stack([vertices[LEFT_EYE].mean(0), vertices[RIGHT_EYE].mean(0)])
        out = vertices[ids] - centres[(ids >= RIGHT_EYE.start).astype(int)]
        return (out[:, :2] / np.linalg.norm(out, axis=1).max() * 0.5 + 0.5).astype(np.float32)

    def proxy_part(self, name: str, relative: str, base: np.ndarray) -> Part:
        proxy = self.assets.proxy(relative)
        count = len(proxy.refs)
        rows = np.repeat(np.arange(count), 3)
        matrix = sparse.csr_matrix((proxy.weights.ravel(), (rows, proxy.refs.ravel())), shape=(count, len(base)))
        offset = proxy.offsets * proxy_scale(relative, base)
        return make_part(name, matrix, offset, proxy.faces, proxy.face_uvs, proxy.uvs)


def proxy_scale(relative: str, base: np.ndarray) -> np.ndarray:
    """Size of a proxy's offsets on this person, (3,): its reference box on this base over that of the asset."""
    stem = relative.split("/")[-1].removesuffix(".json").lower()
    if relative.startswith("teeth/"):
        return np.array([abs(base[a][k] - base[b][k]) / length for k, (a, b, length) in enumerate(_TEETH_SCALE)])
    lengths = _SCALES[next(key for key in _SCALES if stem.startswith(key))]
    return np.array([abs(base[a][k] - base[b][k]) / lengths[k] for k, (a, b) in enumerate(_SCALE_PAIRS)])


def make_part(name, matrix, offset, faces, face_uvs, uvs) -> Part:
    """Split quads into triangles and give each (vertex, uv) pair one render vertex."""
    triangles, uv_triangles = _triangles(faces, faces), _triangles(faces, face_uvs)
    pairs, inverse = np.unique(
        np.stack([triangles.ravel(), uv_triangles.ravel()], 1), axis=0, return_inverse=True
    )
    return Part(
        name, matrix, offset, triangles, pairs[:, 0], uvs[pairs[:, 1]].astype(np.float32),
        inverse.reshape(-1, 3).astype(np.int32),
    )  # fmt: skip


def _triangles(faces: np.ndarray, values: np.ndarray) -> np.ndarray:
    quads = faces[:, 3] != faces[:, 0]
    return np.concatenate([values[:, [0, 1, 2]], values[quads][:, [0, 2, 3]]])


class Head:
    """A person's render mesh. Every part moves with the 53 units except hair, cloth and glasses.

    hair, brow, lashes, teeth: asset names; hair may be None. dentition: how the single teeth stand. glasses: their part, or
    None. rest_brow: how much the resting brow is lifted (hm08's resting face looks stern). hair_lift: how far the hair is
    moved away from the skull, so that a raised brow stays under it; .02 is 2 mm. The rest pose is folded into V0: lips shut,
    brow lifted, all weights 0.
    """

    MOVING = ("body", "eyes", "teeth", "tongue", "brow", "lash")

    def __init__(self, kit: HeadKit, identity: Identity, *, hair: str | None, brow: str, lashes: str, teeth: str,
                 dentition: Dentition | None = None, glasses: Part | None = None, rest_brow: float = 0.22,
                 hair_lift: float = 0.0):  # fmt: skip
        base = identity.vertices
        self.identity = identity
        parts = [
            kit.body,
            kit.eyes,
            kit.proxy_part("teeth", f"teeth/{teeth}/{teeth}.json", base),
            kit.proxy_part("tongue", "tongue/tongue01/tongue01.json", base),
            kit.proxy_part("brow", f"eyebrows/{brow}/{brow}.json", base),
            kit.proxy_part("lash", f"eyelashes/{lashes}/{lashes}.json", base),
            kit.cloth,
        ]
        if hair:
            parts.append(kit.proxy_part("hair", f"hair/{hair}/{hair}.json", base))
        if glasses:
            parts.append(glasses)
        self.parts: list[Part] = parts
        self.start = np.cumsum([0] + [part.matrix.shape[0] for part in parts])
        v0 = np.concatenate([part.matrix @ base + part.offset for part in parts]).astype(np.float32)
        if hair:
            strands = self.part_slice("hair")
            v0[strands] += np.float32(hair_lift) * (v0[strands] - np.float32(SKULL_CENTRE))
        self._seat_teeth(kit.assets.proxy(f"teeth/{teeth}/{teeth}.json"), dentition or Dentition(), base, v0)
        self._set_units(kit.assets.units)
        self.follow = self._head_follow(kit.assets.head_weight)
        self.landmark_rows = kit.landmark_rows  # body is the first part
        self.triangles = np.concatenate([part.triangles + at for part, at in zip(parts, self.start, strict=False)])
        self.render_vertex = np.concatenate(
            [part.render_vertex + at for part, at in zip(parts, self.start, strict=False)]
        )
        self._set_normal_operator()
        self.v0 = v0
        self.landmark_units = self._dense_landmark_units()  # (53, 68, 3) dm
        self._rest(rest_brow)
        self.lip_front_z = float(base[UPPER_TEETH, 2].max())

    def part_slice(self, name: str) -> slice:
        index = [part.name for part in self.parts].index(name)
        return slice(int(self.start[index]), int(self.start[index + 1]))

    def _seat_teeth(self, proxy: Proxy, dentition: Dentition, base: np.ndarray, v0: np.ndarray) -> None:
        """The proxies' teeth sit too high and too wide: lower, narrow and set back teeth and tongue; then arrange them."""
        size = abs(base[791][1] - base[881][1]) / 2.33
        teeth, tongue = self.part_slice("teeth"), self.part_slice("tongue")
        v0[teeth] *= np.float32([dentition.width, 1, 1])
        v0[teeth] -= np.float32([0, dentition.drop, dentition.back]) * np.float32(size)
        v0[tongue] -= np.float32([0, 0.05, 0.04]) * np.float32(size)
        self.tooth_shade = arrange(dentition, teeth_of(proxy), proxy.refs[:, 0] >= UPPER_TEETH.start, v0[teeth])

    def _set_units(self, units: np.ndarray) -> None:
        columns = [
            np.stack([part.matrix @ unit for unit in units])
            if part.name in self.MOVING
            else np.zeros((len(units), part.matrix.shape[0], 3))
            for part in self.parts
        ]
        dense = np.concatenate(columns, 1).astype(np.float32)  # (53, n, 3)
        self.moving = np.flatnonzero((np.abs(dense) > 1e-6).any((0, 2)))
        self.units = np.ascontiguousarray(dense[:, self.moving]).reshape(len(units), -1)

    def _dense_landmark_units(self) -> np.ndarray:
        at = {int(vertex): k for k, vertex in enumerate(self.moving)}
        units = self.units.reshape(len(UNITS), -1, 3)
        out = np.zeros((len(UNITS), 68, 3), np.float32)
        for k, row in enumerate(self.landmark_rows):
            if int(row) in at:
                out[:, k] = units[:, at[int(row)]]
        return out

    def _head_follow(self, head_weight: np.ndarray) -> np.ndarray:
        follow = np.concatenate([np.clip(part.matrix @ head_weight, 0, 1) for part in self.parts])
        for part, start, end in zip(self.parts, self.start, self.start[1:], strict=False):
            if part.name in ("eyes", "teeth", "tongue", "brow", "lash", "glasses"):
                follow[start:end] = 1
        return follow.astype(np.float32)

    def _set_normal_operator(self) -> None:
        """Sum of adjacent face normals; hair and cloth don't move, so their normals are computed once."""
        count = len(self.triangles)
        rows, cols = self.triangles.T.ravel(), np.tile(np.arange(count), 3)
        operator = sparse.csr_matrix((np.ones(count * 3, np.float32), (rows, cols)), (self.start[-1], count))
        self.vertex_faces = operator
        moves = np.zeros(self.start[-1], bool)
        moves[self.moving] = True
        self._turning_faces = np.flatnonzero(moves[self.triangles].any(1))
        self._turning = np.unique(self.triangles[self._turning_faces])
        # Faces around a turning vertex, not only the moving ones.
        around = np.flatnonzero(np.isin(self.triangles, self._turning).any(1))
        self._around_triangles = self.triangles[around]
        self._turning_operator = operator[self._turning][:, around].tocsr()
        self._rest_normals = None

    def _rest(self, brow: float) -> None:
        """Fold the resting face into V0: a lifted brow, and the small gap of the lips taken out."""
        rest = np.zeros(len(UNITS), np.float32)
        rest[UNIT["browInnerUp"]] = brow
        rest[UNIT["browOuterUpLeft"]] = rest[UNIT["browOuterUpRight"]] = brow * 0.4
        lifted = self.vertices(rest)
        self.v0 = lifted
        gaps = self.lip_gaps(np.zeros(len(UNITS)))
        closing = -self.lip_gap_units()[UNIT["mouthClose"]]  # (3,) dm of gap that mouthClose 1 takes away
        rest[:] = 0
        rest[UNIT["mouthClose"]] = np.clip(np.mean(gaps) / np.mean(closing), 0, 0.2)
        self.v0 = self.vertices(rest)

    def lip_gap_units(self) -> np.ndarray:
        """Change of the three inner-lip gaps per unit, (53, 3) dm."""
        return np.stack([self.landmark_units[:, a, 1] - self.landmark_units[:, b, 1] for a, b in LIP_PAIRS], 1)

    def lip_gaps(self, weights: np.ndarray) -> np.ndarray:
        """Signed inner-lip gaps for weights (..., 53), as (..., 3) dm."""
        points = self.v0[self.landmark_rows]
        rest = np.array([points[a, 1] - points[b, 1] for a, b in LIP_PAIRS])
        return rest + weights @ self.lip_gap_units()

    def vertices(self, weights: np.ndarray) -> np.ndarray:
        """Mesh for weights (53,), without head pose: (n, 3) float32 dm."""
        out = self.v0.copy()
        out[self.moving] += (weights.astype(np.float32) @ self.units).reshape(-1, 3)
        return out

    def normals(self, vertices: np.ndarray) -> np.ndarray:
        """Unit vertex normals (n, 3) float32."""
        if self._rest_normals is None:
            self._rest_normals = _unit(self.vertex_faces @ _face_normals(vertices, self.triangles))
        out = self._rest_normals.copy()
        out[self._turning] = _unit(self._turning_operator @ _face_normals(vertices, self._around_triangles))
        return out

    def landmarks(self, weights: np.ndarray) -> np.ndarray:
        """The 68 points for weights (..., 53), no pose: (..., 68, 3) dm in mesh axes, inner-lip gap at least 0."""
        points = self.v0[self.landmark_rows] + np.einsum("...u,upk->...pk", weights, self.landmark_units)
        for upper, lower in LIP_PAIRS:
            overlap = np.maximum(points[..., lower, 1] - points[..., upper, 1], 0)[..., None] / 2
            points[..., upper, 1] += overlap[..., 0]
            points[..., lower, 1] -= overlap[..., 0]
        return points

    def eye_distance(self) -> float:
        """Outer eye corners' distance at rest in dm."""
        return float(eye_distance(self.v0[self.landmark_rows]))

    def eye_middle(self) -> np.ndarray:
        points = self.v0[self.landmark_rows]
        return (points[36] + points[45]) / 2


def _face_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    a, b, c = vertices[triangles[:, 0]], vertices[triangles[:, 1]], vertices[triangles[:, 2]]
    u, v = b - a, c - a
    return np.stack(
        [
            u[:, 1] * v[:, 2] - u[:, 2] * v[:, 1],
            u[:, 2] * v[:, 0] - u[:, 0] * v[:, 2],
            u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0],
        ],
        1,
    )


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
