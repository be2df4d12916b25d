"""From a frame to a crop and back: detection, landmarks, alignment."""
