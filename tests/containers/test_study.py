"""The small study in containers against the same study in this machine's environments."""
