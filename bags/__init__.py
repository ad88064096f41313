"""Making rosbag2 recordings of driving data and playing them, with or without a ROS installation."""
