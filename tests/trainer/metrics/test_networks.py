"""LPIPS, FID and FVD with networks of the real shapes and random weights, and the files that weights come in."""

import io
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from animateanywhere.errors import InputError
from trainer.metrics.i3d import InceptionI3d, fvd_humanvid_pairwise, i3d_features
from trainer.metrics.inception import InceptionV3, inception_features
from trainer.metrics.lpips import AlexNetFeatures, Lpips, LpipsHeads, Vgg16Features, lpips_distance
from trainer.metrics.scoring import Scoreboard
from trainer.metrics.table import METRICS, Truth, choose_metrics
from trainer.metrics.weights import WEIGHTS, Networks, fitted, load_networks, read_state_dict


@pytest.fixture(scope="module")
def clips():
    """Noise, the same a little noisier, and much noisier; uint8 [3, 64, 80, 3]."""
    random = np.random.default_rng(0)
    truth = random.integers(0, 256, (3, 64, 80, 3))
    near, far = (np.clip(truth + random.normal(0, s, truth.shape), 0, 255) for s in (10, 90))
    return tuple(c.astype(np.uint8) for c in (truth, near, far))


@pytest.fixture(scope="module")
def alex():
    torch.manual_seed(0)
    network = Lpips(AlexNetFeatures(), LpipsHeads(AlexNetFeatures.CHANNELS))
    for parameter in network.heads.parameters():  # the learnt ones are not negative either
        torch.nn.init.uniform_(parameter, 0, 1)
    return network.eval()


class ColourOverTime(torch.nn.Module):
    """As small a video network as can be: sums of the frames' mean colours."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.eye(3))

    def forward(self, x):
        return x.mean((3, 4)).sum(2) @ self.weight


def state_names(network):
    return {name for name in network.state_dict() if not name.endswith("num_batches_tracked")}


def test_networks_have_the_published_names_and_sizes():
    with torch.device("meta"):
        vgg, alexnet, inception, i3d = Vgg16Features(), AlexNetFeatures(), InceptionV3(), InceptionI3d()
    counts = [sum(p.numel() for p in network.parameters()) for network in (vgg, alexnet, inception, i3d)]
    # of the convolutions of VGG16 and AlexNet, of Inception-v3 without classifiers, of I3D with 400 classes
    assert counts == [14_714_688, 2_469_696, 21_785_568, 12_697_264]
    assert {"features.0.weight", "features.28.bias"} <= state_names(vgg)
    assert {"features.0.weight", "features.3.weight", "features.10.bias"} <= state_names(alexnet)
    for name in (
        "Conv2d_1a_3x3.conv.weight",
        "Mixed_6c.branch7x7dbl_5.bn.running_var",
        "Mixed_7c.branch3x3_2b.conv.weight",
    ):
        assert name in state_names(inception)
    for name in ("Conv3d_1a_7x7.conv3d.weight", "Mixed_4f.b2b.bn.running_mean", "Mixed_3b.b3b.conv3d.weight"):
        assert name in state_names(i3d)
    assert {"logits.conv3d.weight", "logits.conv3d.bias"} <= state_names(i3d)
    assert state_names(LpipsHeads((64, 128))) == {"lin0.model.1.weight", "lin1.model.1.weight"}


def test_lpips_grows_with_the_difference_and_keeps_to_its_mask(alex, clips):
    truth, near, far = clips
    assert lpips_distance(alex, truth, truth) == 0
    assert 0 < lpips_distance(alex, near, truth) < lpips_distance(alex, far, truth)
    left = np.zeros(truth.shape[:3], bool)
    left[:, :, :40] = True
    mixed = np.where(left[..., None], far, truth)
    assert lpips_distance(alex, mixed, truth, left) > 2 * lpips_distance(alex, mixed, truth, ~left)
    left[1:] = False  # frames outside the mask do not count
    assert lpips_distance(alex, mixed, truth, left) == pytest.approx(
        lpips_distance(alex, mixed[:1], truth[:1], left[:1])
    )
    assert np.isnan(lpips_distance(alex, near, truth, np.zeros_like(left)))


def test_lpips_of_one_channel_by_hand():
    """Where features are the colours themselves, the distance is that of colours of length 1."""

    class Colours(torch.nn.Module):
        def forward(self, x):
            return [x]

    heads = LpipsHeads((3,))
    heads.load_state_dict({"lin0.model.1.weight": torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1)})
    network = Lpips(Colours(), heads)
    shift, scale = network.shift.flatten(), network.scale.flatten()
    red, blue = (shift + scale * torch.tensor(colour) for colour in ([4.0, 0.0, 0.0], [0.0, 0.0, 0.5]))
    pictures = [colour.view(1, 3, 1, 1).expand(1, 3, 8, 8) for colour in (red, blue)]
    assert float(network(*pictures)) == pytest.approx(1 * 1 + 3 * 1)
    assert float(network(*pictures, torch.ones(1, 8, 8, dtype=torch.bool))) == pytest.approx(4)


def test_vgg_hands_out_five_layers():
    with torch.no_grad():
        shapes = [tuple(f.shape[1:]) for f in Vgg16Features()(torch.zeros(1, 3, 32, 48))]
    assert shapes == [(64, 32, 48), (128, 16, 24), (256, 8, 12), (512, 4, 6), (512, 2, 3)]


def test_inception_and_i3d_take_clips_of_any_size(clips):
    torch.manual_seed(0)
    found = inception_features(InceptionV3().eval(), clips[0][:1])
    assert found.shape == (1, 2048) and np.isfinite(found).all()
    i3d = InceptionI3d().eval()
    tall = np.random.default_rng(0).integers(0, 256, (10, 50, 40, 3), dtype=np.uint8)
    found = i3d_features(i3d, tall)
    assert found.shape == (1, 400) and np.isfinite(found).all()
    assert i3d_features(i3d, tall[:9]).shape == (0, 400)


def test_humanvids_number_by_hand():
    truth = np.zeros((12, 20, 30, 3), np.uint8)
    clip = truth.copy()
    clip[..., 0] = 255  # red is 2 away in -1..1, in every frame
    expected = np.mean([(2 * n) ** 2 for n in (10, 11, 12)])
    assert fvd_humanvid_pairwise(ColourOverTime(), clip, truth) == pytest.approx(expected)
    assert fvd_humanvid_pairwise(ColourOverTime(), truth, truth) == 0
    assert np.isnan(fvd_humanvid_pairwise(ColourOverTime(), clip[:9], truth[:9]))


def test_fvd_of_a_set_is_the_frechet_distance_of_its_features():
    random = np.random.default_rng(0)
    board = Scoreboard(choose_metrics("fvd", {"i3d"}), Networks(i3d=ColourOverTime()))
    for _ in range(4):
        truth = random.integers(0, 200, (10, 8, 8, 3), dtype=np.uint8)
        brighter = truth + np.uint8(51)  # 0.4 in -1..1, times 10 frames, in each of 3 colours; the spread is the same
        board.add(Truth(truth, np.zeros((10, 8, 8), bool), None), brighter, truth)
    (found,) = board.summary()
    assert found.model == pytest.approx(3 * 4.0**2, rel=1e-3)
    assert found.frozen == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_weights_from_a_file(tmp_path, suffix):
    torch.manual_seed(1)
    source = AlexNetFeatures()
    state = {**source.state_dict(), "classifier.6.bias": torch.zeros(1000)}
    path = tmp_path / f"alex.{suffix}"
    save_file(state, path) if suffix == "safetensors" else torch.save(state, path)
    heads = tmp_path / f"heads.{suffix}"
    torch.save(LpipsHeads(AlexNetFeatures.CHANNELS).state_dict(), heads) if suffix == "pth" else save_file(
        LpipsHeads(AlexNetFeatures.CHANNELS).state_dict(), heads
    )
    networks = load_networks({"alexnet": str(path), "lpips_alex": str(heads)})
    assert torch.equal(networks.lpips_alex.backbone.features[3].weight, source.features[3].weight)
    assert networks.lpips_vgg is None and networks.i3d is None


def test_weights_that_hold_code_are_refused(tmp_path):
    class Loud:
        def __reduce__(self):
            return print, ("code ran",)

    pickled, script, words = tmp_path / "a.pth", tmp_path / "b.pt", tmp_path / "c.pth"
    torch.save({"features.0.weight": Loud()}, pickled)
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), script)
    torch.save(["not", "tensors"], words)
    for path, said in ((pickled, "more than tensors"), (script, "more than tensors"), (words, "not a state dict")):
        with pytest.raises(InputError, match=said):
            read_state_dict(str(path))


def test_a_pickle_that_is_no_torch_file_runs_nothing(tmp_path, capsys):
    class Loud:
        def __reduce__(self):
            return print, ("code ran",)

    buffer = io.BytesIO()
    pickle.dump(Loud(), buffer)
    (tmp_path / "old.pth").write_bytes(buffer.getvalue())
    with pytest.raises(InputError, match="more than tensors"):
        read_state_dict(str(tmp_path / "old.pth"))
    assert "code ran" not in capsys.readouterr().out


def test_weights_that_do_not_fit(tmp_path):
    state = AlexNetFeatures().state_dict()
    path = tmp_path / "w.safetensors"
    save_file({**state, "features.3.weight": torch.zeros(1)}, path)
    with pytest.raises(InputError, match=r"features.3.weight is \[1\]"):
        fitted(AlexNetFeatures(), str(path))
    save_file({name: t for name, t in state.items() if name != "features.10.bias"}, path)
    with pytest.raises(InputError, match=r"has no features.10.bias"):
        fitted(AlexNetFeatures(), str(path))
    path.write_bytes(b"broken")
    for source, said in (
        (str(path), "cannot read"),
        (f"{tmp_path}/none.pth", "are missing"),
        ("a/b/c:d", "are missing"),
    ):
        with pytest.raises(InputError, match=said):
            read_state_dict(source)
    with pytest.raises(InputError, match="expected NAME=PATH with a name of vgg16"):
        load_networks({"vgg": "x"})


def test_rows_are_chosen_by_name_and_by_what_was_given():
    quick = {row.name for row in choose_metrics(None)}
    assert {"psnr", "ssim_in_person", "epipolar_error", "frechet_flow_distance"} <= quick
    assert not quick & {"lpips", "fid", "fvd", "fvd_humanvid_pairwise", "camera_turn_error"}
    assert {"fvd", "fvd_humanvid_pairwise"} <= {row.name for row in choose_metrics(None, {"i3d"})}
    assert "camera_turn_error" in {row.name for row in choose_metrics("all")}
    assert choose_metrics("all", WEIGHTS) == METRICS
    assert [row.name for row in choose_metrics("ssim, psnr,ssim")] == ["ssim", "psnr"]
    with pytest.raises(InputError, match="metric 'fvd2': expected 'all' or names of psnr, "):
        choose_metrics("psnr,fvd2")
    with pytest.raises(InputError, match="add --weights vgg16=FILE lpips_vgg=FILE"):
        choose_metrics("lpips_in_person", {"i3d"})


def test_names_are_unique_and_nothing_handmade_is_called_by_a_networks_name():
    names = [row.name for row in METRICS]
    assert len(set(names)) == len(names)
    for row in METRICS:
        assert bool(row.weights) == row.name.startswith(("lpips", "fid", "fvd"))
        assert set(row.weights) <= set(WEIGHTS)
