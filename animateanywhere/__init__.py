"""AnimateAnywhere: a person, a background and a pose sequence become a video whose background moves with the person."""
