"""Real videos to training clips: `python -m trainer prepare CLIPS_DIR --output DATASET`.

Sources (videos and what lies beside them) -> shots -> the person in each -> windows of a clip's length -> per window
masks, hands, poses, reference human, clean background and cameras -> a `TrainingClip` file, a record and a picture.
"""
