"""Opens a data root with the official nuScenes devkit and writes down what it finds; runs in the devkit's environment.

`python devkit_check.py ROOT OUT [--predictions FOLDER ...]` writes OUT/report.json and OUT/projections.npz.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from nuscenes import NuScenes
from nuscenes.eval.lidarseg.evaluate import LidarSegEval
from nuscenes.eval.lidarseg.validate_submission import validate_submission
from nuscenes.utils.data_classes import LidarPointCloud
from nuscenes.utils.geometry_utils import points_in_box

VERSION = "v1.0-mini"
SPLIT = "mini_val"
TABLE_OF_FIELD = {
    "first_sample_token": "sample",
    "last_sample_token": "sample",
    "first_annotation_token": "sample_annotation",
    "last_annotation_token": "sample_annotation",
}


def broken_tokens(nusc: NuScenes) -> list[str]:
    """Every foreign key that leads nowhere, and every neighbour that does not point back."""
    broken = []

    def check(table: str, row: dict, field: str, token: str) -> None:
        try:
            nusc.get(table, token)
        except KeyError:
            broken.append(f"{row['token']}: {field} {token!r}")

    for name in nusc.table_names:
        for row in getattr(nusc, name):
            for field, value in row.items():
                if field.endswith("_token"):
                    check(TABLE_OF_FIELD.get(field, field.removesuffix("_token")), row, field, value)
                elif field.endswith("_tokens"):
                    for token in value:
                        check(field.removesuffix("_tokens"), row, field, token)
            for here, there in (("prev", "next"), ("next", "prev")):
                if row.get(here) and nusc.get(name, row[here])[there] != row["token"]:
                    broken.append(f"{name} {row['token']}: {here} does not point back")
    return broken


def missing_files(nusc: NuScenes) -> list[str]:
    """Files that the tables name and that are not there."""
    rows = [*nusc.sample_data, *nusc.lidarseg]
    return [row["filename"] for row in rows if not (Path(nusc.dataroot) / row["filename"]).is_file()]


def chain_lengths(nusc: NuScenes) -> dict[str, list[int]]:
    """Per scene: keyframes, and files of the lidar and of the front camera, counted along `next`."""
    lengths = {}
    for scene in nusc.scene:
        first = nusc.get("sample", scene["first_sample_token"])
        starts = [("sample", first["token"])]
        starts += [("sample_data", first["data"][channel]) for channel in ("LIDAR_TOP", "CAM_FRONT")]
        lengths[scene["name"]] = [length_of_chain(nusc, table, token) for table, token in starts]
    return lengths


def length_of_chain(nusc: NuScenes, table: str, token: str) -> int:
    length = 0
    while token:
        token = nusc.get(table, token)["next"]
        length += 1
    return length


def projections(nusc: NuScenes) -> dict[str, np.ndarray]:
    """Pixels and depth (u, v, m) of the sweep in every image, as the devkit projects it, by the image's file name."""
    found = {}
    for sample in nusc.sample:
        for channel, token in sample["data"].items():
            if channel.startswith("CAM"):
                points, depth_m, _ = nusc.explorer.map_pointcloud_to_image(sample["data"]["LIDAR_TOP"], token)
                found[nusc.get("sample_data", token)["filename"]] = np.column_stack([points[:2].T, depth_m])
    return found


def boxes_and_labels(nusc: NuScenes) -> dict[str, list]:
    """Per annotation: category, points that the table states, that the devkit counts, of them with its label; and per
    category the points that have the label and that lie in one of its boxes."""
    boxes, held = [], {}
    for sample in nusc.sample:
        token = sample["data"]["LIDAR_TOP"]
        path, annotated, _ = nusc.get_sample_data(token)
        points = LidarPointCloud.from_file(path).points[:3]
        labels = np.fromfile(Path(nusc.dataroot) / nusc.get("lidarseg", token)["filename"], np.uint8)
        inside_any: dict[str, np.ndarray] = {}
        for box in annotated:
            inside = points_in_box(box, points)
            stated = nusc.get("sample_annotation", box.token)["num_lidar_pts"]
            own = int((labels[inside] == nusc.lidarseg_name2idx_mapping[box.name]).sum())
            boxes.append([box.name, stated, int(inside.sum()), own])
            inside_any[box.name] = inside_any.get(box.name, np.zeros(len(labels), bool)) | inside
        for name, inside in inside_any.items():
            labelled = labels == nusc.lidarseg_name2idx_mapping[name]
            counts = held.setdefault(name, [0, 0])
            counts[0] += int(labelled.sum())
            counts[1] += int((labelled & inside).sum())
    return {"boxes": boxes, "held": [[name, *counts] for name, counts in held.items()]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--predictions", type=Path, nargs="*", default=[])
    options = parser.parse_args()
    nusc = NuScenes(version=VERSION, dataroot=str(options.root), verbose=False)
    report = {
        "tables": {name: len(getattr(nusc, name)) for name in nusc.table_names},
        "broken_tokens": broken_tokens(nusc),
        "missing_files": missing_files(nusc),
        "chains": chain_lengths(nusc),
        **boxes_and_labels(nusc),
        "evaluation": {},
    }
    for folder in options.predictions:
        validate_submission(nusc, str(folder), SPLIT)
        report["evaluation"][folder.name] = LidarSegEval(nusc, str(folder), SPLIT).evaluate()
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "report.json").write_text(json.dumps(report, indent=1))
    np.savez(
        options.out / "projections.npz", **{name.replace("/", "|"): rows for name, rows in projections(nusc).items()}
    )


if __name__ == "__main__":
    main()
