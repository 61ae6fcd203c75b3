"""Poses: what they are (sequence), how they are found (detector, inputs), how a model sees them (draw)."""
