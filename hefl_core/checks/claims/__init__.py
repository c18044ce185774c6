"""The ledger of claims: each promise, its check, and the fault on which the check must fail."""
