"""Models that imitate data: autoencoders, diffusion, adversarial pairs."""
