"""What ov3d costs on this machine."""
