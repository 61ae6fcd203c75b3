"""Attention as the model computes it: exact rows of softmax(QKᵀ/√E) for chosen tokens, never the whole map.

A probe holds the queries and keys of a few blocks and denoising steps while the model runs; rows are computed from them
when somebody asks. One row costs as much memory as there are keys; the map of one head would take their square.

Legend: B batch, N heads, Q query tokens, K keys, E head width, F token frames, h w token rows and columns.
"""

from dataclasses import dataclass

import torch

from animateanywhere.errors import InputError


@dataclass(frozen=True)
class KeyLayout:
    """What the K columns of an attention row are: text, then video tokens by (k, y, x), then the reference person."""

    num_text: int
    token_shape: tuple[int, int, int]
    """(F, h, w)."""
    num_reference: int = 0

    @property
    def frame_size(self) -> int:
        """Tokens of one token frame."""
        return self.token_shape[1] * self.token_shape[2]

    @property
    def num_video(self) -> int:
        return self.token_shape[0] * self.frame_size

    @property
    def num_keys(self) -> int:
        return self.num_text + self.num_video + self.num_reference

    @property
    def text(self) -> slice:
        return slice(0, self.num_text)

    @property
    def video(self) -> slice:
        return slice(self.num_text, self.num_text + self.num_video)

    @property
    def reference(self) -> slice:
        return slice(self.num_text + self.num_video, self.num_keys)

    def by_frame(self, columns: torch.Tensor) -> torch.Tensor:
        """The video part `[..., F, h*w]` of `columns [..., K]`, a view."""
        return columns[..., self.video].unflatten(-1, (self.token_shape[0], self.frame_size))

    def name(self, column: int) -> tuple:
        """("text", i), ("video", k, y, x) or ("reference", i): what one column stands for."""
        if column < self.num_text:
            return "text", column
        token = column - self.num_text
        if token >= self.num_video:
            return "reference", token - self.num_video
        frame, cell = divmod(token, self.frame_size)
        return "video", frame, *divmod(cell, self.token_shape[2])


def attention_rows(query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """softmax(QKᵀ/√E) over all keys: `query [..., Q, E]`, `key [..., K, E]` -> `[..., Q, K]`.

    Computed in float32, or float64 if the inputs are, under autocast too: the bottom third of a row vanishes in bfloat16.
    """
    with torch.autocast(query.device.type, enabled=False):
        query, key = at_least_float32(query), at_least_float32(key)
        return torch.softmax((query * query.shape[-1] ** -0.5) @ key.mT, dim=-1)


def at_least_float32(values: torch.Tensor) -> torch.Tensor:
    return values if values.dtype == torch.float64 else values.float()


@dataclass(frozen=True)
class AttentionSample:
    """Attention rows of one block at one denoising step."""

    weights: torch.Tensor
    """[B, N, Q, K], float32 at least, each row sums to 1 over all keys."""
    query_tokens: torch.Tensor
    """int64 [Q]: flat video tokens (k*h + y)*w + x."""
    heads: tuple[int, ...]
    layout: KeyLayout
    layer: int
    step: int
    timestep: float

    def on_frames(self) -> torch.Tensor:
        """`[B, N, Q, F, h, w]`: the part of the rows that falls on the video, the paper's A_ij for every j."""
        return self.layout.by_frame(self.weights).unflatten(-1, self.layout.token_shape[1:])


@dataclass(frozen=True)
class HeldAttention:
    """Queries and keys of one block at one denoising step."""

    query: torch.Tensor  # [B, N, Q, E] of `query_tokens`
    key: torch.Tensor  # [B, N, K, E]
    query_tokens: torch.Tensor  # int64 [Q]
    heads: tuple[int, ...]
    layout: KeyLayout
    layer: int
    step: int
    timestep: float

    def rows(self, query_tokens=None, heads=None) -> AttentionSample:
        """Attention rows of some of the held tokens and heads; None: all. Raises InputError naming one not held."""
        tokens = self.query_tokens if query_tokens is None else torch.as_tensor(query_tokens, dtype=torch.int64)
        heads = self.heads if heads is None else tuple(heads)
        at_tokens = _positions(tokens.tolist(), self.query_tokens.tolist(), "query token")
        at_heads = _positions(heads, self.heads, "head")
        key = self.key if heads == self.heads else self.key[:, at_heads]
        weights = attention_rows(self.query[:, :, at_tokens][:, at_heads], key)
        return AttentionSample(weights, tokens, heads, self.layout, self.layer, self.step, self.timestep)


@dataclass(frozen=True)
class ProbeRequest:
    """What to hold of a run. Memory: per layer and step, one query per token asked for and one key per key token."""

    layers: tuple[int, ...]
    steps: tuple[int, ...]
    """Denoising steps, the first is 0."""
    query_tokens: tuple[int, ...] | None = None
    """Flat video tokens; None holds every token's query, so that any of them can be asked for later."""
    heads: tuple[int, ...] | None = None
    """None: all."""
    unconditional: bool = False
    """Look at guidance's second branch, which knows neither person, pose, background nor words."""


class AttentionProbe:
    """Holds what a `ProbeRequest` asks for while the model runs inside `with AttentionProbe(...)`.

    >>> with AttentionProbe(pipeline.transformer, ProbeRequest(layers=(3,), steps=(10,))) as probe:
    ...     pipeline(inputs)
    >>> probe.at(layer=3, step=10).rows([tokens]).on_frames()

    The model's output is the same as without, bit for bit. A step is a call with another timestep than the call before;
    a second call with the same timestep is the unconditional branch. Raises InputError on a layer the model lacks.
    """

    def __init__(self, transformer, request: ProbeRequest):
        count = len(transformer.transformer_blocks)
        wrong = [layer for layer in request.layers if not 0 <= layer < count]
        if wrong:
            raise InputError(f"layer {wrong[0]}: the model has layers 0 to {count - 1}")
        self.held: list[HeldAttention] = []
        self._transformer, self._request = transformer, request
        self._hooks = []
        self._step, self._timestep, self._unconditional, self._token_shape = -1, None, False, None

    def __enter__(self) -> "AttentionProbe":
        hook = self._transformer.register_forward_pre_hook(self._on_model_call, with_kwargs=True)
        self._hooks.append(hook)
        for layer in self._request.layers:
            attention = self._transformer.transformer_blocks[layer].attn1
            hook = attention.register_forward_pre_hook(self._watching(layer), with_kwargs=True)
            self._hooks.append(hook)
        return self

    def __exit__(self, *_):
        while self._hooks:
            self._hooks.pop().remove()

    def at(self, layer: int, step: int) -> HeldAttention:
        """What was held of one block and step. Raises InputError saying what there is instead."""
        for held in self.held:
            if (held.layer, held.step) == (layer, step):
                return held
        there = sorted({(held.layer, held.step) for held in self.held})
        raise InputError(f"no attention of layer {layer} at step {step}: held (layer, step) are {there or 'none'}")

    def _on_model_call(self, transformer, args, kwargs):
        given = dict(zip(("hidden_states", "encoder_hidden_states", "timestep"), args, strict=False)) | kwargs
        timestep = float(given["timestep"].reshape(-1)[0])
        self._unconditional = timestep == self._timestep
        if not self._unconditional:
            self._step, self._timestep = self._step + 1, timestep
        _, frames, _, height, width = given["hidden_states"].shape
        p, p_t = transformer.config.patch_size, transformer.config.patch_size_t or 1
        self._token_shape = (frames // p_t, height // p, width // p)

    def _watching(self, layer):
        def hook(attention, args, kwargs):
            request = self._request
            if self._step not in request.steps or self._unconditional != request.unconditional:
                return None
            others = kwargs.get("on_query_key")

            def on_query_key(query, key, num_text):
                self._hold(layer, query, key, num_text)
                if others is not None:
                    others(query, key, num_text)

            return args, {**kwargs, "on_query_key": on_query_key}

        return hook

    def _hold(self, layer, query, key, num_text):
        layout = KeyLayout(num_text, self._token_shape, key.shape[1] - query.shape[1])
        request = self._request
        tokens = range(layout.num_video) if request.query_tokens is None else request.query_tokens
        heads = range(query.shape[2]) if request.heads is None else request.heads
        tokens = _positions(tokens, range(layout.num_video), "query token")
        heads = _positions(heads, range(query.shape[2]), "head")
        query, key = (states.detach().transpose(1, 2)[:, heads] for states in (query, key))  # [B, N, S+L, E]
        self.held.append(
            HeldAttention(
                query=query[:, :, [num_text + token for token in tokens]].cpu(),
                key=key.cpu(),
                query_tokens=torch.tensor(tokens, dtype=torch.int64),
                heads=tuple(heads),
                layout=layout,
                layer=layer,
                step=self._step,
                timestep=self._timestep,
            )
        )


def _positions(wanted, there, what: str) -> list[int]:
    """Where in `there` each of `wanted` stands. Raises InputError naming the first that is missing."""
    places = {value: place for place, value in enumerate(there)}
    missing = [value for value in wanted if value not in places]
    if missing:
        raise InputError(f"{what} {missing[0]} is not among the {len(places)} that there are: {_summary(list(there))}")
    return [places[value] for value in wanted]


def _summary(values: list[int]) -> str:
    return f"{values[0]} to {values[-1]}" if len(values) > 8 else ", ".join(map(str, values)) or "none"
