"""What users write: filesystems, mounts, file actions and targets, checked where they are given and turned into ir."""
