"""AutoDIR: detect what is wrong, restore by prompt, iterate until clean (Jiang et al., ECCV 2024, arXiv 2310.10123)."""
