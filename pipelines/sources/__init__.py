"""Where images come from; each module fills an `ImageData`."""
