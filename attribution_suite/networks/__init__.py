"""Networks as stacked weights: architecture, training, views, storage."""
