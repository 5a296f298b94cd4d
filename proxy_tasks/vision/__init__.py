"""Images: classification, dense and convolutional."""
