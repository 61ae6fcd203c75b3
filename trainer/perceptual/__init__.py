"""The perceptual network that this project ships: `python -m trainer perceptual --output FILE`.

Rendered pictures with the labels that the renderer knows -> a small network in VGG format that learns to read those
labels, and to tell missing parts of a person from changes of light and noise -> weights for `perceptual_network`.
"""
