"""Make a rosbag2 recording: `python -m bags.make_bag keyframe|simulated|nuscenes ... --out DIR`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ov3d_perception.errors import DataError, Ov3dError
from ov3d_perception.types import CameraView

from .nuscenes_scene import DEFAULT_VERSION, recording_of_scene
from .presets import DEFAULT_PRESET, PRESETS
from .recording import Event, Recording, recording_of_samples
from .writer import write_bag


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns 0, or 2 after one line on stderr when something is wrong with what was given."""
    options = _parser().parse_args(arguments)
    try:
        recording = _with_progress(options.make(options), quiet=options.quiet)
        counts = write_bag(
            recording, options.out, preset=options.preset, storage=options.storage, images=not options.no_images
        )
    except Ov3dError as error:
        print(f"make_bag: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    if not options.quiet:
        width = max(len(topic) for topic in counts)
        for topic, count in counts.items():
            print(f"{topic:<{width}}  {count:>6}")
        size_mb = sum(path.stat().st_size for path in options.out.iterdir()) / 1e6
        print(f"wrote {options.out} ({size_mb:.1f} MB, {options.preset}, {options.storage})")
    return 0


def recording_of_keyframe(folder: Path, *, repeat: int = 1, interval_s: float = 0.5) -> Recording:
    """Record one real keyframe (`ov3d_trainer.data.keyframe`), its JPEG files as they are."""
    from ov3d_trainer.data.keyframe import Keyframe

    source = Keyframe(folder)
    table = json.loads((folder / "frame.json").read_text(encoding="utf-8"))

    def jpeg_of(view: CameraView) -> bytes:
        try:
            return (folder / table["cameras"][view.name]["image"]).read_bytes()
        except (KeyError, OSError) as error:
            raise DataError(f"{folder}: no image file of {view.name}: {error}") from error

    return recording_of_samples(source, jpeg_of=jpeg_of, repeat=repeat, interval_s=interval_s)


def recording_of_street(
    seed: int,
    frames: int,
    *,
    images: bool = True,
    image_size: tuple[int, int] | None = None,
    repeat: int = 1,
    interval_s: float = 0.5,
) -> Recording:
    """Record a drive through a simulated street with its truth; `images=False` skips rendering."""
    from ov3d_trainer.data.simulate import SimulatedStreet

    choices: dict[str, Any] = {} if images else {"cameras": ()}
    if image_size is not None:
        choices["image_size"] = image_size
    source = SimulatedStreet(seed, frames, interval_s=interval_s, **choices)
    return recording_of_samples(source, repeat=repeat, interval_s=interval_s)


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--out", type=Path, required=True, help="folder of the bag; must not exist")
    shared.add_argument("--preset", choices=list(PRESETS), default=DEFAULT_PRESET, help="names of topics and frames")
    shared.add_argument("--storage", choices=("mcap", "sqlite3"), default="mcap")
    shared.add_argument("--no-images", action="store_true", help="leave out images and camera_info")
    shared.add_argument("--quiet", action="store_true", help="print nothing but errors")
    repeated = argparse.ArgumentParser(add_help=False)
    repeated.add_argument("--repeat", type=_positive, default=1, help="how often everything is repeated, default 1")
    repeated.add_argument("--interval", type=float, default=0.5, help="seconds from sweep to sweep, default 0.5")

    parser = argparse.ArgumentParser(prog="python -m bags.make_bag", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="SOURCE")
    keyframe = commands.add_parser("keyframe", parents=[shared, repeated], help="one keyframe (folder with frame.json)")
    keyframe.add_argument("folder", type=Path)
    keyframe.set_defaults(
        make=lambda options: recording_of_keyframe(options.folder, repeat=options.repeat, interval_s=options.interval)
    )
    street = commands.add_parser("simulated", parents=[shared, repeated], help="drive through a simulated street")
    street.add_argument("--seed", type=int, default=0)
    street.add_argument("--frames", type=_positive, default=20)
    street.add_argument("--image-size", type=_size, default=None, metavar="WxH", help="pixels, such as 400x225")
    street.set_defaults(
        make=lambda options: recording_of_street(
            options.seed,
            options.frames,
            images=not options.no_images,
            image_size=options.image_size,
            repeat=options.repeat,
            interval_s=options.interval,
        )
    )
    scene = commands.add_parser("nuscenes", parents=[shared], help="one scene of nuScenes (devkit's folders)")
    scene.add_argument("root", type=Path, help="folder that holds samples/, sweeps/ and the version's tables")
    scene.add_argument("--version", default=DEFAULT_VERSION, help=f"default {DEFAULT_VERSION}")
    scene.add_argument("--scene", required=True, help="such as scene-0061")
    scene.add_argument("--keyframes-only", action="store_true", help="leave out the sweeps between keyframes")
    scene.set_defaults(
        make=lambda options: recording_of_scene(
            options.root, options.version, options.scene, keyframes_only=options.keyframes_only
        )
    )
    return parser


def _with_progress(recording: Recording, *, quiet: bool) -> Recording:
    """Show a bar on a terminal while events are written."""
    if quiet or not sys.stderr.isatty():
        return recording
    try:
        from tqdm import tqdm
    except ImportError:
        return recording

    def events() -> Iterator[Event]:
        yield from tqdm(recording.events(), unit=" events")

    return Recording(mounts=recording.mounts, events=events, label_names=recording.label_names)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text}")
    return number


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT, got {text}") from error
    return width, height


if __name__ == "__main__":
    sys.exit(main())
