"""Labels that others made: their files read as frames with labels."""
