"""What tasks are built of: cutting data into parts and batches; layers of networks."""
