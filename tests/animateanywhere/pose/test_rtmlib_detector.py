"""rtmlib's real code on two tiny ONNX files that stand in for its models: same inputs, same outputs, known answers."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from animateanywhere.errors import InputError
from animateanywhere.media import VideoFrames, write_video
from animateanywhere.pose import rtmlib_detector
from animateanywhere.pose.detector import create_detector, extract_pose
from animateanywhere.pose.rtmlib_detector import RtmlibDetector

WIDTH, HEIGHT = 48, 64
BOXES = np.array([[[4, 4, 40, 60, 0.9], [60, 10, 90, 58, 0.8], [0, 0, 5, 5, 0.1]]], np.float32)


def save_model(path, image_size, outputs):
    """An ONNX model that takes [1, 3, H, W] and answers with the given constants, whatever it sees."""
    inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, *image_size])]
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
    ]
    constants, values = [numpy_helper.from_array(np.zeros((), np.float32), "zero")], []
    for name, array in outputs.items():
        constants.append(numpy_helper.from_array(array, f"{name}_constant"))
        nodes.append(helper.make_node("Add", [f"{name}_constant", "nothing"], [name]))
        values.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(array.shape)))
    graph = helper.make_graph(nodes, "constant", inputs, values, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def simcc(joints=133):
    """Peaks of height 0.7 at bin 2 * joint index along x, clipped to the width, and half the height along y."""
    along_x = np.zeros((1, joints, WIDTH * 2), np.float32)
    along_y = np.zeros((1, joints, HEIGHT * 2), np.float32)
    along_x[0, np.arange(joints), np.minimum(np.arange(joints) * 2, WIDTH * 2 - 1)] = 0.7
    along_y[0, :, HEIGHT] = 0.7
    return {"simcc_x": along_x, "simcc_y": along_y}


@pytest.fixture
def models(tmp_path):
    detection = save_model(tmp_path / "yolox.onnx", (96, 96), {"dets": BOXES})
    return detection, save_model(tmp_path / "rtmw.onnx", (HEIGHT, WIDTH), simcc())


def test_joints_of_everybody_the_detection_model_is_sure_of(models):
    frame = np.zeros((96, 96, 3), np.uint8)
    (people,) = RtmlibDetector(*models).detect([frame])
    assert people.shape == (2, 133, 3) and people.dtype == np.float32
    assert np.allclose(people[..., 2], 0.7)
    for person, box in zip(people, BOXES[0], strict=False):
        middle, centre = person[:, 1].mean(), (box[1] + box[3]) / 2
        assert middle == pytest.approx(centre, abs=1.0)
        assert person[24, 0] == pytest.approx((box[0] + box[2]) / 2, abs=1.5), "joint 24 peaks in the middle of the box"
        assert (np.diff(person[:40, 0]) > 0).all()


def test_nobody_is_not_the_whole_picture(tmp_path, models):
    unsure = save_model(tmp_path / "unsure.onnx", (96, 96), {"dets": BOXES * np.float32([1, 1, 1, 1, 0.1])})
    (people,) = RtmlibDetector(unsure, models[1]).detect([np.zeros((96, 96, 3), np.uint8)])
    assert people.shape == (0, 133, 3)


def test_whole_way_from_a_file(tmp_path, models, clip, monkeypatch, capfd):
    monkeypatch.setenv(rtmlib_detector.DETECTION_MODEL_VARIABLE, str(models[0]))
    monkeypatch.setenv(rtmlib_detector.POSE_MODEL_VARIABLE, str(models[1]))
    write_video(VideoFrames(clip, 10.0), tmp_path / "clip.mp4")
    sequence = extract_pose(tmp_path / "clip.mp4", "rtmlib")
    assert sequence.joints_px.shape == (12, 2, 133, 2) and sequence.coverage(1) == 1.0
    boxes = sequence.boxes_px()[0]
    assert boxes[0, 2] - boxes[0, 0] > boxes[1, 2] - boxes[1, 0], "largest first"
    assert capfd.readouterr().out == "", "stdout belongs to the command"


def test_provider_is_named(models):
    assert RtmlibDetector(*models).provider.endswith("ExecutionProvider")


def test_missing_and_broken_model_files(tmp_path, models):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a model")
    with pytest.raises(InputError, match="does not exist.*ANIMATEANYWHERE_RTMLIB"):
        RtmlibDetector(tmp_path / "none.onnx", models[1])
    with pytest.raises(InputError, match="not a usable onnx model"):
        RtmlibDetector(broken, models[1])


def test_model_with_other_joints_is_refused(tmp_path, models):
    body_only = save_model(tmp_path / "body.onnx", (HEIGHT, WIDTH), simcc(joints=17))
    with pytest.raises(InputError, match="17 joints, expected 133"):
        list(RtmlibDetector(models[0], body_only).detect([np.zeros((96, 96, 3), np.uint8)]))


def test_failed_download_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(InputError, match="could not be downloaded.*ANIMATEANYWHERE_RTMLIB") as caught:
        RtmlibDetector("http://127.0.0.1:9/yolox.onnx", "http://127.0.0.1:9/rtmw.onnx")
    assert "\n" not in str(caught.value)


def test_created_by_name(models, monkeypatch):
    monkeypatch.setenv(rtmlib_detector.DETECTION_MODEL_VARIABLE, str(models[0]))
    monkeypatch.setenv(rtmlib_detector.POSE_MODEL_VARIABLE, str(models[1]))
    assert create_detector("rtmlib").name == "rtmlib"
