"""Sizes of the networks as data, and the function that builds untrained ones. The two sizes differ in numbers only."""

from dataclasses import dataclass

from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

from animateanywhere.models.background_motion_learner import add_background_motion_learner
from animateanywhere.models.frame_refiner import FrameRefiner
from animateanywhere.models.pose_controlnet import PoseControlNet
from animateanywhere.models.reference_net import ReferenceNet
from animateanywhere.models.text_encoder import OnDemandTextEncoder
from animateanywhere.models.transformer import AnimateAnywhereTransformer3DModel

SCHEDULER = dict(
    beta_start=0.00085,
    beta_end=0.012,
    beta_schedule="scaled_linear",
    prediction_type="v_prediction",
    rescale_betas_zero_snr=True,
    snr_shift_scale=1.0,
    timestep_spacing="trailing",
    clip_sample=False,
    set_alpha_to_one=True,
    steps_offset=0,
)
"""CogVideoX1.5's noise schedule: zero terminal SNR, velocity prediction."""


@dataclass(frozen=True)
class Architecture:
    """Configuration of every network of one size, in the vocabulary of diffusers and transformers."""

    transformer: dict
    vae: dict
    text_encoder: dict
    num_control_layers: int
    lora_rank: int


@dataclass
class Components:
    """The networks of one model, as the pipeline, the trainer and the checkpoint pass them around."""

    tokenizer: PreTrainedTokenizerFast
    text_encoder: T5EncoderModel | OnDemandTextEncoder
    vae: AutoencoderKLCogVideoX
    transformer: AnimateAnywhereTransformer3DModel
    pose_controlnet: PoseControlNet | None
    reference_net: ReferenceNet | None
    scheduler: CogVideoXDDIMScheduler
    frame_refiner: FrameRefiner | None = None
    """No part of the paper: what gives a small VAE's pictures back what it loses."""


def vae_config(channels: tuple[int, ...], latent_channels: int, height: int, width: int, groups: int) -> dict:
    """A CogVideoX VAE with one level per entry of `channels`; each level but the last halves height and width."""
    levels = len(channels)
    return dict(
        down_block_types=("CogVideoXDownBlock3D",) * levels,
        up_block_types=("CogVideoXUpBlock3D",) * levels,
        block_out_channels=channels,
        latent_channels=latent_channels,
        layers_per_block=1,
        norm_num_groups=groups,
        temporal_compression_ratio=4,
        sample_height=height,
        sample_width=width,
        scaling_factor=1.0,
    )


MINI = Architecture(
    transformer=dict(
        num_attention_heads=4,
        attention_head_dim=64,
        in_channels=16,
        out_channels=8,
        time_embed_dim=64,
        ofs_embed_dim=64,
        text_embed_dim=64,
        num_layers=6,
        sample_width=42,
        sample_height=24,
        sample_frames=24,
        max_text_seq_length=16,
        patch_bias=True,
    ),
    vae=vae_config((16, 32, 64), 8, 96, 168, groups=8),
    text_encoder=dict(d_model=64, d_kv=16, d_ff=128, num_layers=2, num_heads=4, feed_forward_proj="gated-gelu"),
    num_control_layers=3,
    lora_rank=64,
)

COGVIDEOX15_5B = Architecture(
    transformer={},
    vae=dict(
        down_block_types=("CogVideoXDownBlock3D",) * 4,
        up_block_types=("CogVideoXUpBlock3D",) * 4,
        block_out_channels=(128, 256, 256, 512),
        latent_channels=16,
        layers_per_block=3,
        scaling_factor=0.7,
        invert_scale_latents=True,
        use_quant_conv=False,
        use_post_quant_conv=False,
    ),
    text_encoder=dict(
        d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64, vocab_size=32128, feed_forward_proj="gated-gelu"
    ),
    num_control_layers=18,
    lora_rank=64,
)
"""The paper's scale; transformer defaults are CogVideoX1.5-5B-I2V's."""


def word_tokenizer(words: tuple[str, ...], max_length: int) -> PreTrainedTokenizerFast:
    """A tokenizer that knows `words` and maps every other word to <unk>; sentences end in </s>, as T5's do."""
    vocabulary = {word: i for i, word in enumerate(("<pad>", "</s>", "<unk>", *sorted(set(words))))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Punctuation(behavior="removed"), pre_tokenizers.WhitespaceSplit()]
    )
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=max_length,
    )


def build_components(architecture: Architecture, branch: str | None, words: tuple[str, ...]) -> Components:
    """Untrained networks of one size: branches start as the transformer's first blocks, LoRA at zero.

    `branch` None: a base without control branches and LoRA yet. `words`: vocabulary of the small text encoder.
    """
    transformer = AnimateAnywhereTransformer3DModel(**architecture.transformer)
    tokenizer = word_tokenizer(words, transformer.config.max_text_seq_length)
    text_config = {"vocab_size": len(tokenizer), **architecture.text_encoder}
    components = Components(
        tokenizer=tokenizer,
        text_encoder=T5EncoderModel(T5Config(**text_config, dropout_rate=0.0)),
        vae=AutoencoderKLCogVideoX(**architecture.vae),
        transformer=transformer,
        pose_controlnet=None,
        reference_net=None,
        scheduler=CogVideoXDDIMScheduler(**SCHEDULER),
    )
    if branch is not None:
        add_control_branches(components, branch, architecture.num_control_layers, architecture.lora_rank)
    return components


def add_control_branches(components: Components, branch: str, num_layers: int, lora_rank: int) -> None:
    """(Re)start both branches from the transformer's first blocks and give it a Background Motion Learner.

    Needs a transformer without LoRA. Used for new models and after the base has been trained.
    """
    for name, kind in (("pose_controlnet", PoseControlNet), ("reference_net", ReferenceNet)):
        setattr(components, name, kind.from_transformer(components.transformer, num_layers, branch, lora_rank))
    add_background_motion_learner(components.transformer, lora_rank, lora_rank)
