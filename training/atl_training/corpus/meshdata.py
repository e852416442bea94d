"""Readers of MakeHuman's file formats: Wavefront mesh, .target offsets, three.js-JSON proxies."""

import gzip
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Mesh:
    """A mesh of quads. `faces` and `face_uvs` (F, 4) repeat their first entry where a face is a triangle."""

    vertices: np.ndarray  # (V, 3) decimetres; x = the person's left, y up, z to the front
    uvs: np.ndarray  # (U, 2), v up
    faces: np.ndarray  # (F, 4) indices into vertices
    face_uvs: np.ndarray  # (F, 4) indices into uvs
    groups: np.ndarray  # (F,) group name of each face


@dataclass(frozen=True)
class Proxy:
    """A mesh that hangs on three base vertices per vertex: sum_k weights_k * base[refs_k] + offset * scale."""

    refs: np.ndarray  # (V, 3) base-mesh vertex ids
    weights: np.ndarray  # (V, 3)
    offsets: np.ndarray  # (V, 3) in the asset's own units
    uvs: np.ndarray
    faces: np.ndarray
    face_uvs: np.ndarray


def read_obj(path: Path) -> Mesh:
    """Read the subset of Wavefront OBJ that MakeHuman's base mesh uses (v, vt, g, f with uv indices)."""
    vertices, uvs, faces, face_uvs, groups = [], [], [], [], []
    group = ""
    for line in Path(path).read_text().splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "v":
            vertices.append([float(word) for word in words[1:4]])
        elif words[0] == "vt":
            uvs.append([float(word) for word in words[1:3]])
        elif words[0] == "g":
            group = words[1]
        elif words[0] == "f":
            corners = [word.split("/") for word in words[1:]]
            face = [int(corner[0]) - 1 for corner in corners]
            face_uv = [int(corner[1]) - 1 if len(corner) > 1 and corner[1] else 0 for corner in corners]
            if len(face) == 3:
                face.append(face[0])
                face_uv.append(face_uv[0])
            faces.append(face)
            face_uvs.append(face_uv)
            groups.append(group)
    return Mesh(np.array(vertices), np.array(uvs), np.array(faces), np.array(face_uvs), np.array(groups))


def read_target(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a .target (or .target.gz) file, lines of `index dx dy dz`: ids (K,) and offsets (K, 3) in decimetres."""
    path = Path(path)
    opened = gzip.open(path, "rt") if path.suffix == ".gz" else path.open()
    ids, offsets = [], []
    with opened as lines:
        for line in lines:
            words = line.split()
            if not words or words[0][0] in '#"':
                continue
            ids.append(int(words[0]))
            offsets.append([float(word) for word in words[1:4]])
    return np.array(ids, int), np.array(offsets, float).reshape(-1, 3)


def read_proxy(path: Path) -> Proxy:
    """Read a proxy in three.js' JSON model format 3 (faces are a bit-flagged integer stream)."""
    data = json.loads(Path(path).read_text())
    stream, at = data["faces"], 0
    faces, face_uvs = [], []
    while at < len(stream):
        flags = stream[at]
        at += 1
        corners = 4 if flags & 1 else 3
        face = stream[at : at + corners]
        at += corners + bool(flags & 2) + bool(flags & 4)  # material index, face uv
        face_uv = [0] * corners
        if flags & 8:
            face_uv = stream[at : at + corners]
            at += corners
        # Skip: face normal, vertex normals, face colour, vertex colours.
        at += bool(flags & 16) + corners * bool(flags & 32) + bool(flags & 64) + corners * bool(flags & 128)
        if corners == 3:
            face, face_uv = face + face[:1], face_uv + face_uv[:1]
        faces.append(face)
        face_uvs.append(face_uv)
    return Proxy(
        np.array(data["ref_vIdxs"]),
        np.array(data["weights"], float),
        np.array(data["offsets"], float),
        np.array(data["uvs"][0], float).reshape(-1, 2),
        np.array(faces),
        np.array(face_uvs),
    )
