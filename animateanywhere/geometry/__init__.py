"""Cameras and what they allow. Reading order: cameras, epipolar, camera_presets, camera_files.

Conventions, for every file here; foreign ones are translated in camera_files and nowhere else:

- OpenCV axes: x right, y down, z forward. A matrix name reads right to left: `p_camera = camera_from_world @ p_world`.
- Pixel (0, 0) is the corner of the first pixel and centres lie at +0.5; tokens alike, `token = pixel / token stride`.
- One camera per video frame. Geometry is computed in float64 with numpy; whoever needs less rounds once, at the end.
- A line (a, b, c) is the points with a x + b y + c = 0, scaled to a² + b² = 1, so that |a x + b y + c| is a distance.
  Where geometry says nothing (no baseline, a point on the epipole) the line is (0, 0, 0): every point lies on it.
"""
