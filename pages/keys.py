"""Keys: how a key is made and dealt, who holds what, and what rotating, revoking and stealing do."""

from pages.parts import keyring

keyring.page()
