import numpy as np
import pytest

from trainer.stage_world.textures import toned


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(3,), (4, 5, 3)])
def test_toned_is_the_broadcast_product(shape, kind):
    rng = np.random.default_rng(0)
    colours, first, second = (
        rng.random(shape, np.float32),
        rng.random((4, 5)).astype(kind),
        rng.random((4, 5), np.float32),
    )
    expected = colours * first[..., None] * second[..., None]
    got = toned(colours, first, second)
    assert np.array_equal(got, expected) and got.dtype == expected.dtype
