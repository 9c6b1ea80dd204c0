"""Attention to tokens beside a text."""

import pytest
import torch

from airtool.networks.cross_attention import DecoupledCrossAttention


def test_it_is_two_attentions_with_shared_queries_added_up() -> None:
    torch.manual_seed(0)
    network = DecoupledCrossAttention(8, 2, 5, text_channels=3).eval().requires_grad_(False)
    x, tokens, text = torch.randn(2, 6, 8), torch.randn(2, 4, 5), torch.randn(2, 7, 3)
    wanted = torch.zeros(2, 6, 8)
    for context, key, value, scale in (
        (tokens, network.to_k_ip.weight, network.to_v_ip.weight, 0.3),
        (text, network.to_k.weight, network.to_v.weight, 1.0),
    ):
        for head in (slice(0, 4), slice(4, 8)):
            q, k, v = x @ network.to_q.weight[head].T, context @ key[head].T, context @ value[head].T
            wanted[..., head] += scale * ((q @ k.transpose(1, 2)) / 2).softmax(-1) @ v
    torch.testing.assert_close(network(x, tokens, text, scale=0.3), network.to_out(wanted))


def test_tokens_that_are_zero_add_nothing() -> None:
    network = DecoupledCrossAttention(8, 2, 5)
    out = network(torch.randn(1, 6, 8), torch.zeros(1, 4, 5))
    assert torch.equal(out, network.to_out[0].bias.expand_as(out))
    assert not any(name.startswith(("to_k.", "to_v.")) for name in network.state_dict())
    without = DecoupledCrossAttention(8, 2, 5, out_bias=False)
    assert not without(torch.randn(1, 6, 8), torch.zeros(1, 4, 5)).any()


def test_a_text_missing_or_too_much() -> None:
    x, tokens = torch.randn(1, 6, 8), torch.randn(1, 4, 5)
    with pytest.raises(ValueError, match="takes no text"):
        DecoupledCrossAttention(8, 2, 5)(x, tokens, torch.randn(1, 2, 3))
    with pytest.raises(ValueError, match="needs a text"):
        DecoupledCrossAttention(8, 2, 5, text_channels=3)(x, tokens)
    with pytest.raises(ValueError, match="3 heads"):
        DecoupledCrossAttention(8, 3, 5)
