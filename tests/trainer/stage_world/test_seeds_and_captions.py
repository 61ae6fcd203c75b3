import pytest

from animateanywhere.errors import InputError
from trainer.stage_world.actions import ACTIONS
from trainer.stage_world.captions import CAPTION_WORDS, caption_of
from trainer.stage_world.photographer import CAMERA_SENTENCES, PHOTOGRAPHERS
from trainer.stage_world.seeds import SPLIT_SIZE, split_seeds


def test_splits_never_meet():
    edges = {
        split: (split_seeds(split, 0, 1)[0], split_seeds(split, SPLIT_SIZE - 1, 1)[0])
        for split in ("train", "val", "test")
    }
    spans = sorted(edges.values())
    assert all(before[1] < after[0] for before, after in zip(spans, spans[1:], strict=False))
    assert list(split_seeds("val", 5, 3)) == [split_seeds("val", 0, 8)[k] for k in (5, 6, 7)]


@pytest.mark.parametrize("bad", [("all", 0, 1), ("train", -1, 2), ("train", 0, SPLIT_SIZE + 1)])
def test_bad_split_is_one_line(bad):
    with pytest.raises(InputError, match="expected"):
        split_seeds(*bad)


def test_captions_use_only_the_vocabulary():
    words = set(CAPTION_WORDS)
    for action in ACTIONS:
        for sentence in CAMERA_SENTENCES:
            for in_place in (False, True):
                caption = caption_of(action, sentence, in_place)
                assert set(caption.replace(",", "").split()) <= words
                assert caption == caption.lower()
    assert {"camera", "static", "still", "pan", "left", "right", "zoom", "in", "out", "slowly", "fast"} <= words
    assert list(CAPTION_WORDS) == sorted(words) and len(words) < 400


def test_captions_tell_directions_apart():
    for name in ("dolly", "orbit", "zoom", "crane"):
        assert len(set(PHOTOGRAPHERS[name].sentences)) == 2
    assert len(PHOTOGRAPHERS) >= 7
