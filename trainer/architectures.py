"""Network sizes that a run can be started with, the smallest among them: for tests and the `smoke` preset, of no other use."""

from animateanywhere.architectures import COGVIDEOX15_5B, MINI, Architecture, vae_config

TINY = Architecture(
    transformer=dict(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=8,
        out_channels=4,
        time_embed_dim=16,
        ofs_embed_dim=16,
        text_embed_dim=16,
        num_layers=3,
        sample_width=16,
        sample_height=8,
        sample_frames=8,
        max_text_seq_length=8,
        patch_bias=True,
    ),
    vae=vae_config((8, 8, 8), 4, 32, 64, groups=4),
    text_encoder=dict(d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, feed_forward_proj="gated-gelu"),
    num_control_layers=2,
    lora_rank=4,
)

ARCHITECTURES: dict[str, Architecture] = {"mini": MINI, "tiny": TINY, "cogvideox1.5-5b": COGVIDEOX15_5B}
"""By their names in `TrainConfig.architecture`."""
