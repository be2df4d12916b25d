"""What networks compute of images: each once per image, cached by all that decides it."""
