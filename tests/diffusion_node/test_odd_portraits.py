"""Portraits as people bring them: the shipped one in many guises is drawn like itself, or refused with the reason."""
import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from atl_diffusion_node.portrait import default_portrait_path, load_portrait, output_shape
from atl_diffusion_node.renderer import FaceRenderer
from atl_diffusion_node.runtime import OpenVinoRuntime
from atl_face.detect import find_face
from atl_face.errors import UserError
from atl_face.media import read_picture
from atl_face.topology import CLOSED_LIP_GAP, MOUTH, WEIGHT, lip_gap
from atl_landmark_node.face_model import PortraitFace

pytest.importorskip("mediapipe", reason="mediapipe is not installed: no face can be looked for")

SIDE = 512  # px of the plain picture that is disguised
HEIGHT = 400  # px of the frames
EXACT, NEAR, ART = 0.012, 0.025, 0.08
"""How far a landmark may be from the plain picture's, in crop sides (of about 230 mm): the same pixels or nearly; much coarser
pixels; a picture in which the face's own shading is gone."""
PLAIN = Image.open(default_portrait_path()).convert("RGB").resize((SIDE, SIDE), Image.LANCZOS)
GREY = PLAIN.convert("L")


def encoded(image, kind="PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def cut_out(mode: str) -> Image.Image:
    """The person on a transparent background."""
    mask, image = Image.new("L", PLAIN.size), PLAIN.convert(mode)
    ImageDraw.Draw(mask).ellipse((125, 30, 390, 550), fill=255)
    image.putalpha(mask)
    return image


def turned_by_a_camera(orientation: int, turn) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(PLAIN.transpose(turn), "JPEG", quality=92, exif=exif)


def on_a_canvas(side: int, corner: tuple[int, int]) -> bytes:
    canvas = Image.new("RGB", (1500, 1000), (60, 70, 80))
    canvas.paste(PLAIN.resize((side, side), Image.LANCZOS), corner)
    return encoded(canvas)


def drawn_on(draw) -> Image.Image:
    image = PLAIN.copy()
    draw(ImageDraw.Draw(image))
    return image


def glasses(pen):
    for x in (227, 306):
        pen.ellipse((x - 29, 191, x + 29, 239), outline=(20, 20, 20), width=4)
    pen.line((256, 212, 277, 212), fill=(20, 20, 20), width=4)


def beard() -> Image.Image:
    mask, image = Image.new("L", PLAIN.size), PLAIN.copy()
    pen = ImageDraw.Draw(mask)
    pen.chord((190, 240, 325, 367), -10, 190, fill=255)
    pen.ellipse((227, 287, 305, 317), fill=0)
    hair = np.random.default_rng(1).normal(55, 18, (SIDE, SIDE, 1)) * (1, 0.8, 0.6)
    image.paste(Image.fromarray(hair.clip(0, 255).astype(np.uint8)), mask=mask.filter(ImageFilter.GaussianBlur(2)))
    return image


def cartoon() -> Image.Image:
    """A few flat colours and black outlines."""
    inside = GREY.filter(ImageFilter.GaussianBlur(1)).filter(ImageFilter.FIND_EDGES).point(lambda v: 255 * (v < 24))
    flat = PLAIN.filter(ImageFilter.MedianFilter(5)).quantize(12).convert("RGB")
    return Image.composite(flat, Image.new("RGB", PLAIN.size), inside)


def painting() -> Image.Image:
    return ImageOps.posterize(PLAIN.filter(ImageFilter.ModeFilter(7)), 3)


def as_it_is(xy):
    return xy


def placed(side, corner):
    return lambda xy: (xy * side + corner) / (1500, 1000)


# name -> how the file is made, where a point of the plain picture lies in it (both as shares of the sides), tolerance
GUISES = {
    "photo taken upside down": (lambda: turned_by_a_camera(3, Image.ROTATE_180), as_it_is, EXACT),
    "photo taken leaning right": (lambda: turned_by_a_camera(6, Image.ROTATE_90), as_it_is, EXACT),
    "photo taken leaning left": (lambda: turned_by_a_camera(8, Image.ROTATE_270), as_it_is, EXACT),
    "selfie stored mirrored": (lambda: turned_by_a_camera(2, Image.FLIP_LEFT_RIGHT), as_it_is, EXACT),
    "stored mirrored, upside down": (lambda: turned_by_a_camera(4, Image.FLIP_TOP_BOTTOM), as_it_is, EXACT),
    "stored mirrored, leaning left": (lambda: turned_by_a_camera(5, Image.TRANSPOSE), as_it_is, EXACT),
    "stored mirrored, leaning right": (lambda: turned_by_a_camera(7, Image.TRANSVERSE), as_it_is, EXACT),
    "cut out": (lambda: encoded(cut_out("RGB")), as_it_is, EXACT),
    "cut out, grey": (lambda: encoded(cut_out("L")), as_it_is, NEAR),
    "cut out, palette": (lambda: encoded(cut_out("RGB").quantize(method=Image.Quantize.FASTOCTREE)), as_it_is, NEAR),
    "palette": (lambda: encoded(PLAIN.convert("P", palette=Image.Palette.ADAPTIVE)), as_it_is, EXACT),
    "CMYK": (lambda: encoded(PLAIN.convert("CMYK"), "JPEG", quality=92), as_it_is, EXACT),
    "grey": (lambda: encoded(GREY), as_it_is, EXACT),
    "16-bit grey": (lambda: encoded(Image.fromarray(np.asarray(GREY, np.uint16) * 257)), as_it_is, EXACT),
    "16 bits in 32": (lambda: encoded(Image.fromarray(np.asarray(GREY, np.int32) * 257), "TIFF"), as_it_is, EXACT),
    "128 px": (lambda: encoded(PLAIN.resize((128, 128), Image.LANCZOS)), as_it_is, NEAR),
    "4000 px": (lambda: encoded(PLAIN.resize((4000, 4000)), "JPEG", quality=80), as_it_is, EXACT),
    "much compressed": (lambda: encoded(PLAIN, "JPEG", quality=8), as_it_is, ART),
    "in a corner": (lambda: on_a_canvas(300, (1190, 690)), placed(300, (1190, 690)), NEAR),
    "small in a corner": (lambda: on_a_canvas(200, (10, 10)), placed(200, (10, 10)), NEAR),
    "lying": (lambda: encoded(PLAIN.transpose(Image.ROTATE_90)), lambda xy: np.stack([xy[:, 1], 1 - xy[:, 0]], 1), EXACT),
    "standing on its head": (lambda: encoded(PLAIN.transpose(Image.ROTATE_180)), lambda xy: 1 - xy, EXACT),
    "glasses": (lambda: encoded(drawn_on(glasses)), as_it_is, NEAR),
    "beard": (lambda: encoded(beard()), as_it_is, ART),
    "underexposed": (lambda: encoded(PLAIN.point(lambda v: v // 5)), as_it_is, ART),
    "tinted": (lambda: encoded(ImageOps.colorize(GREY, (30, 10, 0), (255, 230, 190))), as_it_is, NEAR),
    "painting": (lambda: encoded(painting()), as_it_is, ART),
    "cartoon": (lambda: encoded(cartoon()), as_it_is, ART),
}


@pytest.fixture(scope="module")
def renderer():
    return FaceRenderer(OpenVinoRuntime(threads=2))


@pytest.fixture(scope="module")
def plain():
    return load_portrait(encoded(PLAIN), HEIGHT)


def talking(portrait, jaw):
    weights = np.zeros(52)
    weights[WEIGHT["jawOpen"]] = jaw
    return PortraitFace(portrait.neutral).points(weights)


def draw(renderer, portrait):
    """A frame with a shut mouth and one with an open one, after as much of the same."""
    renderer.set_identity(portrait)
    return [[renderer.render(talking(portrait, jaw)) for _ in range(2)][-1] for jaw in (0.0, 0.35)]


def pixels(portrait) -> np.ndarray:
    """Landmarks (68, 2) px of the output's picture."""
    return portrait.transform.to_portrait(portrait.neutral)[:, :2]


def mouth_change(portrait, one, other) -> float:
    """Mean change in grey levels within the lips' box."""
    (x0, y0), (x1, y1) = (f(pixels(portrait)[MOUTH], 0).astype(int) for f in (np.min, np.max))
    return float(np.abs(one.astype(int) - other.astype(int))[y0 : y1 + 1, x0 : x1 + 1].mean())


@pytest.mark.parametrize("name", GUISES)
def test_a_guise_is_seen_and_drawn_like_the_plain_picture(renderer, plain, name):
    make, where, tolerance = GUISES[name]
    data = make()
    portrait = load_portrait(data, HEIGHT)
    own = read_picture(data).shape
    assert portrait.picture.shape == (*output_shape(*own[:2], HEIGHT), 3)

    size = np.array(portrait.picture.shape[1::-1])
    expected = where(pixels(plain) / HEIGHT) * size
    off = np.abs(pixels(portrait) - expected).max() / portrait.transform.side_px
    assert off < tolerance, f"{off:.3f} crop sides"

    shut, opened = draw(renderer, portrait)
    outside = np.ones(portrait.picture.shape[:2], bool)
    outside[portrait.region] = portrait.feather[..., 0] == 0
    for frame in (shut, opened):
        assert frame.shape == portrait.picture.shape and np.array_equal(frame[outside], portrait.picture[outside])
        if name in ("grey", "cut out, grey", "16-bit grey", "16 bits in 32"):
            assert np.ptp(frame.astype(int), axis=2).max() <= 1
    change = mouth_change(portrait, shut, opened)
    whole = np.abs(shut.astype(int) - opened)[portrait.region].mean()
    assert change > max(5, 3 * whole), f"{change:.1f} grey levels at the mouth, {whole:.1f} in the crop"


@pytest.mark.parametrize("jaw", [0.3, 0.6])
def test_a_mouth_that_is_open_in_the_portrait_shuts_and_opens(renderer, plain, jaw):
    """A portrait with teeth: a frame of the plain one."""
    renderer.set_identity(plain)
    said = [renderer.render(talking(plain, jaw)) for _ in range(3)][-1]
    portrait = load_portrait(encoded(Image.fromarray(said)), HEIGHT)
    assert lip_gap(plain.neutral) < CLOSED_LIP_GAP and lip_gap(portrait.neutral) > 0.25 * jaw
    shut, opened = (float(lip_gap(find_face(frame))) for frame in draw(renderer, portrait))
    assert shut < CLOSED_LIP_GAP and opened > 0.1


def pair() -> Image.Image:
    image = Image.new("RGB", (2 * SIDE, SIDE))
    image.paste(PLAIN, (0, 0))
    image.paste(ImageOps.mirror(PLAIN), (SIDE, 0))
    return image


@pytest.mark.parametrize(("make", "code", "sentence"), [
    (lambda: PLAIN.crop((0, 0, SIDE // 2, SIDE)), "no_face", "edge cuts the face off|No face"),
    (lambda: PLAIN.crop((0, 0, 290, SIDE)), "no_face", "edge cuts the face off"),
    (lambda: PLAIN.crop((0, 0, SIDE, 240)), "no_face", "edge cuts the face off"),
    (pair, "several_faces", "2 faces"),
    (lambda: Image.fromarray(np.random.default_rng(0).integers(0, 255, (400, 400, 3), np.uint8)), "no_face", "No face"),
    (lambda: Image.new("RGB", (400, 400)), "no_face", "No face"),
    (lambda: PLAIN.resize((90, 90), Image.LANCZOS), "too_small", "at least 32"),
], ids=["half", "one eye", "no mouth", "two faces", "noise", "black", "90 px"])  # fmt: skip
def test_what_can_not_be_used_is_refused_with_the_reason(make, code, sentence):
    with pytest.raises(UserError, match=sentence) as refused:
        load_portrait(encoded(make()), HEIGHT)
    assert refused.value.code == code
