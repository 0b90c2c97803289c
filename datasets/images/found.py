"""What lies in a folder of images: the images in order, and what is none."""

import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from opticornet.utils.errors import UserError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})
VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mov", ".mkv", ".m4v", ".webm"})
# Pictures and videos that are not read.
OTHER_SUFFIXES = frozenset(
    (
        *(".gif", ".avif", ".heic", ".heif", ".jp2", ".j2k", ".jpx", ".jpf", ".jxl", ".jfif", ".jpe", ".exr", ".hdr"),
        *(".tga", ".svg", ".psd", ".ico", ".pbm", ".pnm", ".pfm", ".dds", ".pcx", ".ras", ".raw", ".dng", ".cr2"),
        *(".cr3", ".nef", ".nrw", ".arw", ".orf", ".rw2", ".raf", ".insp", ".insv", ".mpg", ".mpeg", ".wmv", ".flv"),
        *(".3gp", ".mts", ".m2ts", ".ts", ".h264", ".h265", ".hevc", ".360", ".lrv", ".thm"),
    )
)
# What systems and viewers put beside people's files, in small letters.
SYSTEM_FOLDERS = frozenset(
    (
        *("@eadir", "@tmp", "@recycle", "#recycle", "__macosx", "thumbs", "thumbnails", "thumb", "$recycle.bin"),
        *("recycler", "recycled", "system volume information", "lost+found", "__pycache__"),
    )
)


@dataclass(frozen=True)
class FoundImages:
    """Files below a folder, named relative to it; hidden files and folders of systems are left out.

    Attributes:
        images: names in natural order.
        passed_over: suffix (".heic") to the number of pictures and videos that are of no kind that is taken.
        system_folders: those passed over.
        others: all other files, sorted.
    """

    images: tuple[str, ...]
    passed_over: dict[str, int]
    system_folders: tuple[str, ...]
    others: tuple[str, ...]

    def note(self) -> str:
        """What was passed over, in words; empty if nothing was."""
        kinds = [f"{count} {suffix}" for suffix, count in sorted(self.passed_over.items())]
        return ", ".join([*kinds, *(f"the folder {name}" for name in self.system_folders)])

    def notes(self, where: str) -> list[str]:
        """:meth:`note` as a line about ``where``; none if nothing was passed over."""
        return [f"{where}: passed over {self.note()}"] if self.note() else []


def is_system_folder(name: str) -> bool:
    """Whether a folder of this name is hidden, or was put there by a system."""
    return name.startswith(".") or name.lower() in SYSTEM_FOLDERS


def image_stem(name: str) -> str:
    """A name without folders and the suffix of an image, if it has one."""
    stem, suffix = os.path.splitext(name.replace("\\", "/").rsplit("/", 1)[-1])
    return stem if suffix.lower() in IMAGE_SUFFIXES else stem + suffix


def natural_key(name: str) -> tuple[list[list[tuple[int, int, str]]], str]:
    """Sort key by which ``a2.png`` comes before ``a10.png``, folder by folder; equal numbers go by spelling."""
    folders = [
        [(0, int(token), "") if token.isdecimal() else (1, 0, token) for token in re.split(r"(\d+)", part) if token]
        for part in name.split("/")
    ]
    return folders, name


def scan_images(folder: Path) -> FoundImages:
    """Look through a folder and all below it.

    Raises:
        UserError: a folder cannot be read.
    """

    def stop(error: OSError) -> None:
        raise UserError(f"cannot read the folder {error.filename}: {error.strerror}; check its permissions") from error

    images, others, system, seen = [], [], [], set()
    passed_over: Counter[str] = Counter()
    for current, folders, files in os.walk(folder, followlinks=True, onerror=stop):
        real = os.path.realpath(current)
        if real in seen:  # a link back up
            folders.clear()
            continue
        seen.add(real)
        relative = os.path.relpath(current, folder)

        def named(name: str, below: str = relative) -> str:
            return name if below == "." else f"{below}/{name}".replace(os.sep, "/")

        system += [named(name) for name in folders if is_system_folder(name) and not name.startswith(".")]
        folders[:] = [name for name in folders if not is_system_folder(name)]
        for name in files:
            suffix = os.path.splitext(name)[1].lower()
            if name.startswith("."):
                continue
            if suffix in IMAGE_SUFFIXES:
                images.append(named(name))
            elif suffix in OTHER_SUFFIXES or suffix in VIDEO_SUFFIXES:
                passed_over[suffix] += 1
            else:
                others.append(named(name))
    return FoundImages(
        tuple(sorted(images, key=natural_key)), dict(passed_over), tuple(sorted(system)), tuple(sorted(others))
    )


def find_images(folder: Path) -> tuple[str, ...]:
    """Names of all images below ``folder``, as :func:`scan_images` finds them.

    Raises:
        UserError: a folder cannot be read, or there is no image.
    """
    return need_images(folder, scan_images(folder)).images


def need_images(folder: Path, found: FoundImages) -> FoundImages:
    """``found`` if it holds images.

    Raises:
        UserError: it holds none.
    """
    if not found.images:
        instead = f"; it has {found.note()}" if found.note() else ""
        raise UserError(f"no images in {folder}: wanted files ending in {' '.join(sorted(IMAGE_SUFFIXES))}{instead}")
    return found
