"""Cross-attention that listens to further tokens beside a text (IP-Adapter: Ye et al., arXiv 2308.06721, Eq. 5)."""

import torch.nn.functional as F
from torch import Tensor, nn


class DecoupledCrossAttention(nn.Module):
    """Attention to a text and attention to tokens, with the same queries, added up before one projection.

    Neither keys nor values have a bias: tokens that are all zero add exactly nothing. Key names are those of the
    published checkpoints: to_q, to_k, to_v and to_out.0 of the text-to-image model, to_k_ip and to_v_ip of the adapter.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        token_channels: int,
        text_channels: int | None = None,
        out_bias: bool = True,
    ) -> None:
        """text_channels: None for a network without text, which has no to_k and to_v. out_bias: as published; without
        it, and without a text, tokens that are all zero make the whole result zero."""
        super().__init__()
        if channels % heads:
            raise ValueError(f"{channels} channels cannot be split into {heads} heads")
        self.heads = heads
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(text_channels, channels, bias=False) if text_channels else None
        self.to_v = nn.Linear(text_channels, channels, bias=False) if text_channels else None
        self.to_k_ip = nn.Linear(token_channels, channels, bias=False)
        self.to_v_ip = nn.Linear(token_channels, channels, bias=False)
        self.to_out = nn.Sequential(nn.Linear(channels, channels, bias=out_bias))

    def forward(self, x: Tensor, tokens: Tensor, text: Tensor | None = None, scale: float = 1.0) -> Tensor:
        """What to add to the features: (N, L, channels) -> (N, L, channels).

        tokens: (N, T, token_channels). text: (N, S, text_channels), given exactly where the network has a text.
        scale: weight of the tokens. Raises ValueError where a text is missing or too much.
        """
        if (text is None) != (self.to_k is None):
            raise ValueError("this network needs a text" if text is None else "this network takes no text")
        q = self._split(self.to_q(x))
        out = scale * self._attend(q, self.to_k_ip(tokens), self.to_v_ip(tokens))
        if text is not None and self.to_k is not None and self.to_v is not None:
            out = out + self._attend(q, self.to_k(text), self.to_v(text))
        return self.to_out(out)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out = F.scaled_dot_product_attention(q, self._split(k), self._split(v))
        return out.transpose(1, 2).flatten(2)

    def _split(self, x: Tensor) -> Tensor:
        """(N, L, channels) -> (N, heads, L, channels / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
