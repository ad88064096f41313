"""What a teacher says, brought to points, averaged over time, made small, kept on the disk and measured."""
