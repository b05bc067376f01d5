"""From a trained model to a sealed, proven ONNX artifact."""
