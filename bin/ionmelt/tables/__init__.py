"""The columns of every table, once: a file for each stage that makes them, so that its tasks depend on no other's."""
