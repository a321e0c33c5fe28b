"""Condition tokens: positions stay apart, padding is zeros, a learned projection survives its folder."""

from __future__ import annotations

from pathlib import Path

import torch

from fasgen.stages.defake.tokens import LearnedTokens, PaddedTokens, identity_tokens


def test_a_token_is_a_position() -> None:
    identity_map = torch.randn(2, 512, 7, 7)
    tokens = identity_tokens(identity_map)
    assert tokens.shape == (2, 49, 512)
    assert torch.equal(tokens[1, 7 * 3 + 5], identity_map[1, :, 3, 5])


def test_padding_is_zeros_at_the_end() -> None:
    tokens = torch.randn(1, 49, 512)
    out = PaddedTokens(768)(tokens)
    assert out.shape == (1, 49, 768) and torch.equal(out[..., :512], tokens) and not out[..., 512:].any()


def test_learned_projection_round_trip(tmp_path: Path) -> None:
    module = LearnedTokens(width=96)
    module.save_pretrained(tmp_path, safe_serialization=True)
    again = LearnedTokens.from_pretrained(tmp_path, use_safetensors=True, local_files_only=True)
    tokens = torch.randn(1, 49, 512)
    assert torch.equal(module(tokens), again(tokens))
