"""The network of suites/tinygpt in torch: a small Llama (RMSNorm, rotary positions, SwiGLU, tied embedding) over bytes.

Owns its shape, its training and its plain evaluation. Tokens are bytes; token 256 opens every text and ends it.
Rotary positions turn neighbouring pairs of a head, as GGUF's `llama` architecture does. It must not know of files.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the name every torch user knows
from torch import nn

OPEN = 256
VOCABULARY = 257
EPSILON = 1e-5
ROPE_BASE = 10_000.0


@dataclass(frozen=True)
class Shape:
    """Widths of the network; `context` is the longest sequence that it was trained on."""

    layers: int = 2
    heads: int = 3
    width: int = 96
    hidden: int = 256
    context: int = 256

    @property
    def head(self) -> int:
        """Width of one head."""
        return self.width // self.heads


class Norm(nn.Module):
    """Root mean square normalisation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPSILON) * self.weight


class Block(nn.Module):
    """Attention and feed-forward, each behind a norm and beside a residual."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        width, hidden = shape.width, shape.hidden
        self.attention_norm, self.ffn_norm = Norm(width), Norm(width)
        self.q, self.k, self.v, self.o = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.gate, self.up = nn.Linear(width, hidden, bias=False), nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        h = self.attention_norm(x)
        q, k, v = (self._split(layer(h)) for layer in (self.q, self.k, self.v))
        seen = F.scaled_dot_product_attention(rotate(q, cos, sin), rotate(k, cos, sin), v, is_causal=True)
        x = x + self.o(seen.transpose(1, 2).flatten(2))
        h = self.ffn_norm(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (self.shape.heads, self.shape.head)).transpose(1, 2)


class TinyGpt(nn.Module):
    """Tokens int64 (batch, n) to logits float32 (batch, n, 257)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(VOCABULARY, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = Norm(shape.width)
        nn.init.normal_(self.embedding.weight, std=0.05)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        cos, sin = rotation(self.shape, tokens.shape[1])
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, cos, sin)
        return self.norm(x) @ self.embedding.weight.T


def rotation(shape: Shape, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return cosines and sines of the angles by which pairs are turned, each (length, head / 2)."""
    speed = ROPE_BASE ** (-torch.arange(0, shape.head, 2) / shape.head)
    angle = torch.arange(length)[:, None] * speed
    return angle.cos(), angle.sin()


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Turn each neighbouring pair of the last axis."""
    a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2)


def train(network: TinyGpt, text: torch.Tensor, *, steps: int, batch: int, rate: float, seed: int) -> float:
    """Fit on windows drawn from `text` (int64, bytes), each opened by token 256; return the last smoothed loss."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0.05, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.1)
    length, smoothed = network.shape.context, 0.0
    for step in range(steps):
        starts = torch.randint(len(text) - length, (batch,), generator=generator)
        targets = torch.stack([text[start : start + length] for start in starts])
        tokens = torch.cat([torch.full((batch, 1), OPEN), targets[:, :-1]], 1)
        loss = F.cross_entropy(network(tokens).flatten(0, 1), targets.flatten())
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        smoothed = loss.item() if not step else 0.98 * smoothed + 0.02 * loss.item()
        if step % 100 == 0:
            print(f"step {step}: {smoothed:.4f} nats per byte", flush=True)
    return smoothed


@torch.no_grad()
def evaluate(network: TinyGpt, text: bytes, window: int) -> float:
    """Return the mean negative log-likelihood in nats per byte over whole windows, each opened by token 256."""
    data = torch.tensor(list(text[: len(text) // window * window])).view(-1, window)
    tokens = torch.cat([torch.full((len(data), 1), OPEN), data[:, :-1]], 1)
    return float(F.cross_entropy(network(tokens).flatten(0, 1), data.flatten()))
