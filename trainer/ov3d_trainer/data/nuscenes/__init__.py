"""The nuScenes format: its categories, and simulated streets written as a data root that its devkit opens."""
