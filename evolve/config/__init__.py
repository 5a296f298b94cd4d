"""What people write: strict YAML, a typed schema, presets."""
