"""A street with traffic, seen by a car with a lidar and six cameras."""
