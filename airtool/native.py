"""What processors and GPUs compute in themselves, rather than by emulating it."""

import torch


def native_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is native to the device: emulated on a CPU it is many times slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(device.type == "cpu" and supported is not None and supported())
