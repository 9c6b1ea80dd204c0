"""A recipe small enough to train in seconds."""

TINY = {
    "name": "tiny",
    "method": "ndr",
    "preset": "small-single",
    "clean": ["clean"],
    "validation": "held-out",
    "seed": 5,
    "steps": 6,
    "batch": 2,
    "patch": 32,
    "warmup": 2,
    "validate_every": 3,
    "validation_pictures": 1,
    "validation_crop": 64,
    "mix": {"noise": 1.0, "clean": 0.3, "streaks": 0.5, "rain+jpeg": 0.2},
    "pairs": {"streaks": {"degraded": "lq", "ground_truth": "gt", "use": "layers"}},
    "objective": {"loss": "psnr", "degradation_every": 2, "identity_start": True},
}
