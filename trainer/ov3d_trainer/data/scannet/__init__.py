"""ScanNet scans: reading the official files, and writing simulated rooms as such."""
