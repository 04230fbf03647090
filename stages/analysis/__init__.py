"""Look at what a run has learned, and write the page that shows it."""
