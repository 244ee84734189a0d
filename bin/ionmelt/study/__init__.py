"""The study file: what may stand in it, and the plan that is made of it."""
