"""A live class: phones that encrypt, hold shares and train, and the types of this project between them."""
