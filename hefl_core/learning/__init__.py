"""Data sets, models and trainers; TensorFlow in keras_*.py alone."""
