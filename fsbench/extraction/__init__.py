"""What networks compute of images: each once per image set, cached by all that decides it."""
