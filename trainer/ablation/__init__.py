"""Ablations: tables of rows that differ in one thing, trained and measured alike. `trainer/ablate.py` runs them."""
