"""What is measured on a trajectory, with its uncertainty."""
