"""One-shot swappers that other projects published as ONNX files."""

from reference_models.one_shot import model as model
