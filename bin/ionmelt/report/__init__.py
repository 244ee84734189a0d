"""Tables as words, figures and a page."""
