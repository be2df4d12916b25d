"""ONNX files: what they hold, and how they are run."""
