"""A procedural, exactly labelled world in which a photographer's camera reacts to a moving person.

World axes are OpenCV's: x right, y down (up is -y), z forward; the ground is y = 0; metres and seconds.
"""
