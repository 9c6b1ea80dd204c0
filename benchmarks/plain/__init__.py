"""The rivals of benchmarks/speed.py: each method's network as a plain PyTorch script of its paper would have it.

Eager, float32, NCHW memory, the whole picture at once, `torch.no_grad`; cubes, orders and attention maps are computed
as the papers define them, blocks as the public repositories of NAFNet and Restormer have them. No network of airtool
runs in a rival, so that making ours faster cannot make a rival faster; but the published AutoDIR's diffusion and
autoencoder are the package's on both sides. Parameters have the names that ours have: the state dict of a weights file
loads as it is, without what does not restore (`rival.UNUSED`).
"""
