"""Board images: a Debian kernel, initramfs and root disk for QEMU, built without running a foreign instruction."""

from harness.emulator.image.build import (
    SUITES,
    Image,
    ImageRecipe,
    build_image,
    find_image,
    images_folder,
    load_image,
)

__all__ = ["SUITES", "Image", "ImageRecipe", "build_image", "find_image", "images_folder", "load_image"]
