"""ROS 2 at the rim: the only place where rclpy and message packages may be imported.

`names`, `statistics` and `pipeline` are plain Python all the same, so that they can be tested without ROS.
"""
