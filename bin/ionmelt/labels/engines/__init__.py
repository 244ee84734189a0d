"""What computes labels, a file a program."""
