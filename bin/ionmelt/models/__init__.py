"""Models: trained, tuned, brought by the user, loaded, judged."""
