"""Start the segmentation node: `ros2 launch ov3d_perception segment.launch.py bundle:=DIR cloud_topic:=/LIDAR_TOP`.

`ros2 launch ov3d_perception segment.launch.py --show-args` lists the arguments. Include it in another launch file with
`IncludeLaunchDescription(..., launch_arguments={"bundle": ..., "cloud_topic": ...}.items())`.
"""

from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.launch_context import LaunchContext
from launch.launch_description import LaunchDescription
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

PACKAGE = "ov3d_perception"
EXECUTABLE = "segment_node"

# name, default, description
ARGUMENTS = (
    ("bundle", "", "folder of the model bundle; empty: as the parameter file says"),
    ("cloud_topic", "/LIDAR_TOP", "PointCloud2 topic to label"),
    ("queries", "", 'words to look for, synonyms after bars: "car, person|pedestrian"; empty: the bundle\'s labels'),
    ("device", "", "auto, cpu or cuda; empty: as the parameter file says"),
    ("input_reliability", "", "best_effort or reliable; empty: as the parameter file says"),
    ("params_file", "", "YAML file of parameters; empty: config/segment.yaml of this package"),
    ("namespace", "", "namespace of the node, one per robot"),
    (
        "node_name",
        "ov3d_segmentation",
        "name of the node; it publishes on NAMESPACE/NODE_NAME/output/segmentation",
    ),
    ("use_sim_time", "false", "take the time from /clock: true with a bag player or simulator"),
    ("log_level", "info", "debug, info, warn or error"),
)


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and the node."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, default, description in ARGUMENTS
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=_node)])


def _node(context: LaunchContext) -> list[Node]:
    given = {name: LaunchConfiguration(name).perform(context) for name, _, _ in ARGUMENTS}
    params_file = given["params_file"] or str(Path(get_package_share_directory(PACKAGE)) / "config" / "segment.yaml")
    parameters: dict[str, Any] = {"use_sim_time": given["use_sim_time"].lower() in ("true", "1")}
    if given["bundle"]:
        parameters["bundle"] = str(Path(given["bundle"]).expanduser().absolute())
    if given["queries"].strip():
        parameters["queries"] = [word.strip() for word in given["queries"].split(",")]
    for name in ("device", "input_reliability"):
        if given[name]:
            parameters[name] = given[name]
    logger = ".".join([*filter(None, given["namespace"].split("/")), given["node_name"]])
    return [
        Node(
            package=PACKAGE,
            executable=EXECUTABLE,
            namespace=given["namespace"],
            name=given["node_name"],
            parameters=[params_file, parameters],
            remappings=[("~/input/pointcloud", given["cloud_topic"])],
            ros_arguments=["--log-level", f"{logger}:={given['log_level']}"],
            # numpy's threads would wait busily on the cores that the network needs
            additional_env={"OPENBLAS_NUM_THREADS": "1"},
            output="screen",
            emulate_tty=True,
        )
    ]
