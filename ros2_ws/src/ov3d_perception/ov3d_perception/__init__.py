"""Open-vocabulary segmentation of lidar point clouds: the run-time core, free of torch and (outside ros/) of ROS."""

__version__ = "0.1.0"
