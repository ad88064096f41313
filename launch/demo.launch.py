"""Bag, node and RViz together: `ros2 launch launch/demo.launch.py bag:=BAG bundle:=DIR` from the repository's root.

For a distribution's ROS 2, with `ros2 bag`, `rviz2` and `image_transport_plugins` installed; on ROS from PyPI use
`make demo`. Bags come from `python -m bags.make_bag`. Change the words while it runs, for example with
`ros2 service call /ov3d_segmentation/set_queries ov3d_msgs/srv/SetQueries "{queries: [{name: car}, {name: tree}]}"`.
"""

from pathlib import Path

from launch.actions import DeclareLaunchArgument, ExecuteProcess, IncludeLaunchDescription, Shutdown
from launch.conditions import IfCondition
from launch.launch_description import LaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from ov3d_perception.ros.names import rviz_image_topic

RVIZ_CONFIG = Path(__file__).resolve().parent.parent / "rviz" / "ov3d.rviz"
CAMERAS = ("CAM_FRONT", "CAM_FRONT_LEFT", "CAM_FRONT_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_BACK_RIGHT")
IMAGE_TOPIC = "/{}/image_rect_compressed"

# name, default, description
ARGUMENTS = (
    ("bag", None, "folder of a rosbag2 recording (python -m bags.make_bag); required"),
    ("bundle", None, "folder of the model bundle; required"),
    ("queries", "", 'words to look for: "car, person|pedestrian"; empty: as the bundle says'),
    ("cloud_topic", "/LIDAR_TOP", "PointCloud2 topic of the bag"),
    ("device", "", "auto, cpu or cuda; empty: auto"),
    ("rate", "1.0", "speed of the bag"),
    ("rviz", "true", "start RViz"),
)


def generate_launch_description() -> LaunchDescription:
    """Play the bag with /clock in a loop, label its clouds, show them; closing RViz ends the demo."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, default, description in ARGUMENTS
    ]
    segment = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(
            PathJoinSubstitution([FindPackageShare("ov3d_perception"), "launch", "segment.launch.py"])
        ),
        launch_arguments={
            **{name: LaunchConfiguration(name) for name in ("bundle", "queries", "cloud_topic", "device")},
            "use_sim_time": "true",
            "input_reliability": "reliable",  # bags of this project are; best effort loses large clouds
        }.items(),
    )
    rate = LaunchConfiguration("rate")
    play = ExecuteProcess(
        cmd=["ros2", "bag", "play", LaunchConfiguration("bag"), "--clock", "100", "--loop", "--rate", rate],
        output="screen",
    )
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        arguments=["-d", str(RVIZ_CONFIG)],
        parameters=[{"use_sim_time": True}],
        remappings=camera_remappings(),
        condition=IfCondition(LaunchConfiguration("rviz")),
        on_exit=Shutdown(),
    )
    return LaunchDescription([*declared, play, segment, rviz])


def camera_remappings() -> list[tuple[str, str]]:
    """RViz finds compressed images only below BASE/compressed: point those names at the bag's topics."""
    return [(rviz_image_topic(topic), topic) for topic in (IMAGE_TOPIC.format(channel) for channel in CAMERAS)]
