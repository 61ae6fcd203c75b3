"""Pixels to tokens, video frames to latent frames. The only place where 4x, 8x and 'multiple of 8' are written."""

from dataclasses import dataclass

from animateanywhere.errors import InputError

FRAME_MULTIPLE = 8
"""Frames per token-frame of a 1.5-style model: two latent frames of four video frames, so no latent is ever padded."""


def snap_num_frames(requested: int, largest: int) -> int:
    """Nearest legal frame count (a multiple of 8, ties upwards) between 8 and `largest`."""
    snapped = (requested + FRAME_MULTIPLE // 2) // FRAME_MULTIPLE * FRAME_MULTIPLE
    return max(FRAME_MULTIPLE, min(snapped, largest // FRAME_MULTIPLE * FRAME_MULTIPLE))


@dataclass(frozen=True)
class LatentGrid:
    """Sizes of one clip in video frames, latent frames and tokens.

    Token (k, y, x) covers video frames `frames_of_token(k)` and pixels [y*stride, (y+1)*stride) x [x*stride, (x+1)*stride).
    """

    num_frames: int
    height: int
    width: int
    spatial_compression: int
    temporal_compression: int
    patch_size: int
    patch_size_t: int

    def __post_init__(self):
        frame_step, stride = self.temporal_compression * self.patch_size_t, self.token_stride_px
        if self.num_frames % frame_step:
            raise InputError(f"{self.num_frames} frames: expected a multiple of {frame_step}")
        if self.height % stride or self.width % stride:
            raise InputError(f"picture {self.width}x{self.height}: expected multiples of {stride} pixels")

    @property
    def token_stride_px(self) -> int:
        return self.spatial_compression * self.patch_size

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(latent frames, latent height, latent width)."""
        return (
            self.num_frames // self.temporal_compression,
            self.height // self.spatial_compression,
            self.width // self.spatial_compression,
        )

    @property
    def token_shape(self) -> tuple[int, int, int]:
        """(token frames, token height, token width)."""
        frames, height, width = self.latent_shape
        return frames // self.patch_size_t, height // self.patch_size, width // self.patch_size

    @property
    def num_tokens(self) -> int:
        frames, height, width = self.token_shape
        return frames * height * width

    def frames_of_token(self, token_frame: int) -> range:
        """Video frames that token frame `token_frame` covers."""
        step = self.temporal_compression * self.patch_size_t
        return range(token_frame * step, (token_frame + 1) * step)
