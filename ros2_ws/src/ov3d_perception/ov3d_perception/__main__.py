"""Command line without ROS: `python -m ov3d_perception info BUNDLE` and `... label BUNDLE CLOUD|BAG --out FILE...`."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from .artifact import Bundle, ModelCard, open_bundle
from .engine import Engine, SweepFeatures
from .errors import ConfigError, DataError, ModelError, Ov3dError
from .fusion import camera_features, fuse
from .image_tower import IMAGE_FILE, ImageTower
from .label_files import WRITERS, ScoreTally, check_label_path, write_labelled
from .queries import LabelSpec, QuerySet, drop_asked, make_queries, parse_labels
from .scene_picture import Heat
from .text.encoder import TextEncoder
from .types import UNLABELLED, Frame, Prediction

_EXIT_ERROR = 2
_BAG_SUFFIXES = (".mcap", ".db3")
_BAG_OUTPUT_SUFFIXES = (".mcap", "")  # one file, or rosbag2's folder


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, or 2 after one line about what went wrong on stderr."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="ov3d: %(message)s", stream=sys.stderr)
    try:
        options.command(options)
    except (Ov3dError, OSError) as error:
        print(f"ov3d: {type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr)
        return _EXIT_ERROR
    except KeyboardInterrupt:
        print("ov3d: interrupted", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ov3d_perception", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="info | label")

    info = commands.add_parser("info", help="what a bundle holds and where it would run")
    info.add_argument("bundle", type=Path)
    info.add_argument("--json", action="store_true", help="print JSON instead of text")
    info.set_defaults(command=_info)

    label = commands.add_parser("label", help="label a cloud file or every cloud of a bag")
    label.add_argument("bundle", type=Path)
    label.add_argument(
        "source", type=Path, metavar="CLOUD|BAG", help=".bin .pcd .ply .npy, or a rosbag2 (.mcap, folder)"
    )
    label.add_argument(
        "--out",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help=f"{' '.join(WRITERS)}, or .mcap / folder for a bag",
    )
    label.add_argument("--queries", help='"car, person|pedestrian, tree"; default: the labels of the card')
    label.add_argument("--background", help='"sky, ego vehicle"; "" for none; default: those of the card not asked for')
    label.add_argument("--template", action="append", help='"a photo of a {}", may be repeated; default: the card\'s')
    label.add_argument("--threshold", type=float, help="least cosine similarity, -1 to 1; default: the card's")
    label.add_argument(
        "--kind", default="auto", help="format of the cloud file where its name does not tell, e.g. kitti"
    )
    label.add_argument("--topic", help="point cloud topic of the bag; default: the only one")
    label.add_argument(
        "--sweep", type=int, default=0, help="sweep of the bag that goes to single-cloud files (0 = first)"
    )
    _add_camera_options(label)
    _add_run_options(info)
    _add_run_options(label)
    label.set_defaults(command=_label)
    return parser


def _add_camera_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cameras", action="store_true", help="read the bag's cameras too and show them in the .png")
    parser.add_argument("--heat", metavar="WORDS", help='show in the .png how near all is to "something to sit on"')
    parser.add_argument(
        "--fuse", action="store_true", help=f"average in what the bundle's {IMAGE_FILE} sees; reads the bag's cameras"
    )


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where the network runs")
    parser.add_argument("--threads", type=int, help="CPU threads of the network; default: onnxruntime's choice")


# ---------------------------------------------------------------------------------------------------------------- info


def _info(options: argparse.Namespace) -> None:
    facts = _bundle_facts(open_bundle(options.bundle), options.device, options.threads)
    if options.json:
        print(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    width = max(map(len, facts))
    facts["files"] = {name: f"{size:,} bytes" for name, size in facts["files"].items()}
    for name, value in facts.items():
        print(f"{name.replace('_', ' '):<{width}}  {_readable(value)}")


def _bundle_facts(bundle: Bundle, device: str, threads: int | None) -> dict[str, Any]:
    """Everything `info` says, as plain JSON types."""
    engine = Engine(bundle, providers=device, threads=threads)
    encoder = bundle.open_text_encoder(threads=threads)
    card = json.loads(bundle.card.to_json())
    files = (bundle.student_path, *bundle.text_files)
    side = "bank: a fixed list of words" if bundle.has_bank else "text tower: any words"
    return {
        "bundle": str(bundle.directory),
        **card,
        "text_side": side,
        "text_words": len(encoder.names) if hasattr(encoder, "names") else None,
        "files": {path.name: path.stat().st_size for path in files},
        "onnxruntime": ort.__version__,
        "providers_available": ort.get_available_providers(),
        "provider": engine.provider,
    }


def _readable(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_readable(entry)}" for name, entry in value.items()) or "-"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return ", ".join("|".join([entry["name"], *entry["synonyms"]]) for entry in value)
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    return "-" if value in (None, "") else str(value)


# --------------------------------------------------------------------------------------------------------------- label


def _label(options: argparse.Namespace) -> None:
    bag_outputs = [path for path in options.out if path.suffix.lower() in _BAG_OUTPUT_SUFFIXES]
    file_outputs = [path for path in options.out if path not in bag_outputs]
    _check_label_options(options, bag_outputs, file_outputs)
    engine = Engine(options.bundle, providers=options.device, threads=options.threads)
    encoder = engine.bundle.open_text_encoder(threads=options.threads)
    queries, text_ms = _make_queries(engine.card, encoder, options)
    run = _LabelRun(
        engine=engine,
        queries=queries,
        text_ms=text_ms,
        kept_sweep=options.sweep,
        heat=None if options.heat is None else _heat_queries(engine.card, encoder, options.heat),
        tower=_open_image_tower(engine, options) if options.fuse else None,
    )
    if _is_bag_path(options.source):
        out = bag_outputs[0] if bag_outputs else None
        run.label_bag(options.source, out, options.topic, cameras=options.cameras or options.fuse)
    else:
        run.label_cloud(options.source, options.kind)
    for path in file_outputs:
        frame, prediction, heat = run.kept
        title = f"{options.source.name}: {engine.card.name}"
        write_labelled(path, frame, prediction, queries, title=title, heat=heat)
    run.print_report(options.out)


def _check_label_options(options: argparse.Namespace, bag_outputs: list[Path], file_outputs: list[Path]) -> None:
    """Raise for what cannot come to a good end, before anything is loaded."""
    if len(bag_outputs) > 1:
        raise ConfigError(f"--out: got {len(bag_outputs)} bags. Give one.")
    for path in file_outputs:
        check_label_path(path)
    for path in bag_outputs:
        _check_bag_output(path)
    if not options.source.exists():
        raise DataError(f"{options.source}: does not exist. Give a cloud file or a bag.")
    if options.source.is_dir() and not (options.source / "metadata.yaml").is_file():
        raise DataError(
            f"{options.source}: holds no metadata.yaml, so it is not a rosbag2. Give a bag or a cloud file."
        )
    if _is_bag_path(options.source):
        return
    if bag_outputs:
        raise ConfigError(f"--out {bag_outputs[0]}: a bag can be written from a bag only. Choose {', '.join(WRITERS)}.")
    if options.cameras or options.fuse:
        raise ConfigError(f"--cameras, --fuse: {options.source} is a cloud file and has no images. Give a bag.")


def _open_image_tower(engine: Engine, options: argparse.Namespace) -> ImageTower:
    """Open the bundle's image tower; `ModelError` where it has none or one of another text space."""
    path = engine.bundle.directory / IMAGE_FILE
    if not path.is_file():
        raise ModelError(f"--fuse: bundle {options.bundle} has no {IMAGE_FILE}. Leave --fuse out.")
    tower = ImageTower(path, providers=options.device, threads=options.threads)
    if tower.card.text_space != engine.card.text_space:
        raise ModelError(
            f"{IMAGE_FILE}: lives in text space {tower.card.text_space!r}, the student in "
            f"{engine.card.text_space!r}. Use the image tower that belongs to the student."
        )
    return tower


def _heat_queries(card: ModelCard, encoder: TextEncoder, words: str) -> QuerySet:
    """One query without background or threshold: every point has its cosine to it."""
    return make_queries([words], encoder, templates=card.templates, threshold=-1.0)


def _make_queries(card: ModelCard, encoder: TextEncoder, options: argparse.Namespace) -> tuple[QuerySet, float]:
    """Encode the words of the command line, with the card's for all that is not given; and how long it took in ms."""
    labels: tuple[LabelSpec, ...] = card.labels if options.queries is None else parse_labels(options.queries)
    if not labels:
        raise ConfigError('--queries: the card names no labels. Give for example --queries "car, person, tree".')
    if options.background is None:
        background = drop_asked(card.background, labels)
    elif options.background.strip():
        background = tuple(options.background.split(","))
    else:
        background = ()
    started = time.perf_counter()
    queries = make_queries(
        labels,
        encoder,
        templates=options.template or card.templates,
        background=background,
        threshold=card.threshold if options.threshold is None else options.threshold,
    )
    return queries, 1e3 * (time.perf_counter() - started)


class _LabelRun:
    """Labels one cloud or many, keeps the one that goes to files, and counts what the report needs."""

    def __init__(
        self,
        *,
        engine: Engine,
        queries: QuerySet,
        text_ms: float,
        kept_sweep: int,
        heat: QuerySet | None,
        tower: ImageTower | None,
    ) -> None:
        self._engine, self._queries, self._text_ms, self._kept_sweep = engine, queries, text_ms, kept_sweep
        self._heat, self._tower = heat, tower
        self._kept: tuple[Frame, Prediction, Heat | None] | None = None
        self._sweeps = 0
        self._tally = ScoreTally(queries.names)
        self._timings: list[dict[str, float]] = []

    @property
    def kept(self) -> tuple[Frame, Prediction, Heat | None]:
        """The sweep asked for, its labels and how near it is to one query; `DataError` when there are fewer sweeps."""
        if self._kept is None:
            raise self._no_such_sweep()
        return self._kept

    def label_cloud(self, path: Path, kind: str) -> None:
        """Label one cloud file."""
        from .clouds import read_cloud

        self._kept_sweep = 0
        self.predict(read_cloud(path, kind=kind))

    def label_bag(self, source: Path, out: Path | None, topic: str | None, *, cameras: bool) -> None:
        """Label every cloud of a bag and write it to `out`; without `out` only the sweep asked for."""
        from .bags import read_bag_clouds, read_bag_frames, write_labelled_bag

        frames = read_bag_frames(source, topic=topic) if cameras else read_bag_clouds(source, topic)
        with _Progress() as progress:
            if out is not None:
                with tempfile.TemporaryDirectory(prefix=".ov3d-", dir=out.parent) as folder:  # no half-written bag
                    bag = Path(folder) / (out.stem if out.suffix else out.name)
                    label = progress.around(lambda _: self.predict(next(frames)))  # the same clouds, with cameras
                    write_labelled_bag(source, bag, label, queries=self._queries, topic=topic)
                    (next(bag.glob("*.mcap")) if out.suffix else bag).rename(out)
                return
            for frame in frames:
                if self._sweeps == self._kept_sweep:
                    self.predict(frame)
                    return
                self._sweeps += 1
        if self._sweeps:
            raise self._no_such_sweep()

    def predict(self, frame: Frame) -> Prediction:
        """Label one sweep and remember what the report needs of it."""
        features = self._engine.encode(frame, self._queries)
        if self._tower is not None:
            features = fuse(features, camera_features(frame, self._tower))
        prediction = self._engine.label(features, self._queries)
        if self._sweeps == self._kept_sweep:
            self._kept = (frame, prediction, self._measure_heat(features))
        self._sweeps += 1
        self._tally.add(prediction)
        self._timings.append({**features.timings_ms, **prediction.timings_ms})
        return prediction

    def _no_such_sweep(self) -> DataError:
        return DataError(f"--sweep {self._kept_sweep}: there are {self._sweeps} sweeps, counted from 0.")

    def _measure_heat(self, features: SweepFeatures) -> Heat | None:
        if self._heat is None:
            return None
        answer = self._engine.label(features, self._heat)
        score = np.where(answer.label == UNLABELLED, np.float32(np.nan), answer.score)  # points without a voxel
        return Heat(query=self._heat.names[0], score=score)

    def print_report(self, outputs: Sequence[Path]) -> None:
        """Print points, share and median score per label, the time of each stage, and what was written."""
        if not self._timings:
            raise DataError("the bag holds no point cloud on that topic. Choose another with --topic.")
        rows = self._tally.rows()
        width = max(len("label"), *(len(row["name"]) for row in rows))
        print(f"{'label':<{width}}  {'points':>9}  {'share':>7}  {'median score':>12}")
        for row in rows:
            score = "-" if row["median_score"] is None else f"{row['median_score']:.3f}"
            print(f"{row['name']:<{width}}  {row['points']:>9,}  {100 * row['share']:>5.1f} %  {score:>12}")
        stages = [f"words {self._text_ms:.1f} ms once"]
        for stage in self._timings[0]:
            stages.append(f"{stage} {np.median([timing[stage] for timing in self._timings]):.1f} ms")
        sweeps = "1 sweep" if len(self._timings) == 1 else f"median of {len(self._timings)} sweeps"
        print(f"{', '.join(stages)} ({sweeps}, {self._engine.provider})")
        for path in outputs:
            print(f"wrote {path}")


class _Progress:
    """A tqdm bar on a terminal, silence elsewhere or without tqdm."""

    def __enter__(self) -> _Progress:
        self._bar: Any = None
        if sys.stderr.isatty():
            try:
                from tqdm import tqdm
            except ImportError:
                return self
            self._bar = tqdm(unit=" sweeps")
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def around(self, predict: Callable[[Frame], Prediction]) -> Callable[[Frame], Prediction]:
        """Return `predict` so that every call moves the bar by one sweep."""

        def counted(frame: Frame) -> Prediction:
            prediction = predict(frame)
            if self._bar is not None:
                self._bar.update(1)
            return prediction

        return counted


def _check_bag_output(path: Path) -> None:
    if path.exists():
        raise ConfigError(f"{path}: exists already. Choose another name or remove it.")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"{path}: folder {path.parent} does not exist. Create it first.")


def _is_bag_path(path: Path) -> bool:
    """A bag is a folder or a file of a rosbag2 storage."""
    return path.is_dir() or path.suffix.lower() in _BAG_SUFFIXES


if __name__ == "__main__":
    sys.exit(main())
