"""Noise schedules, samplers and the noise itself, for all methods that restore by diffusion."""
