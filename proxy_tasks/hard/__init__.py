"""Tiny tasks that carry what is hard about large models: optimizers end far apart on them."""
