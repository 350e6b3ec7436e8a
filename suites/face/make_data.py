"""Make photos_128.npz again: `python suites/face/make_data.py` (needs scikit-image and Pillow).

Prepares evaluation inputs from photographs that scikit-image ships, as MediaPipe prepares camera frames: square,
resized, RGB in [-1, 1]. Why they are free to use is in ORIGIN.md. It must not know of models, boards or gates.
"""

import hashlib
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image, ImageEnhance, ImageOps

HERE = Path(__file__).resolve().parent
SIZE = 128  # pixels, the input of the short-range model
SCENES = (skimage.data.coffee,)


def photographs() -> list[Image.Image]:
    """Return five views of one face (whole, close, distant, dark, tilted) and one scene without a face.

    Six and not more: an inference takes an emulated board a third of a second, and parity is computed per value.
    """
    astronaut = Image.fromarray(skimage.data.astronaut())
    close = astronaut.crop((110, 10, 340, 240))
    upper = astronaut.crop((60, 0, 420, 360))
    distant = ImageOps.expand(astronaut, 256, fill=(96, 96, 96))
    scenes = [Image.fromarray(photo()).convert("RGB") for photo in SCENES]
    return [
        astronaut,
        close,
        distant,
        ImageEnhance.Brightness(ImageOps.mirror(upper)).enhance(0.35),
        upper.rotate(15, Image.Resampling.BILINEAR, fillcolor=(96, 96, 96)),
        *scenes,
    ]


def prepare(photo: Image.Image, size: int) -> np.ndarray:
    """Letterbox to (size, size, 3) float32 in [-1, 1]; 256 levels, so that the file compresses."""
    square = ImageOps.pad(photo, (size, size), Image.Resampling.BILINEAR, color=(0, 0, 0))
    return np.asarray(square, np.float32) / np.float32(127.5) - np.float32(1)


def main() -> None:
    """Write photos_128.npz and print its SHA-256."""
    target = HERE / f"photos_{SIZE}.npz"
    np.savez_compressed(target, x=np.stack([prepare(photo, SIZE) for photo in photographs()]))
    print(hashlib.sha256(target.read_bytes()).hexdigest(), target.stat().st_size, target.name)


if __name__ == "__main__":
    main()
