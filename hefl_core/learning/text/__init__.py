"""Text: the letters to train on, and the attention layer that reads them."""
