"""A predictor to be handed on: ONNX, and a folder that is ready for a model hub."""
