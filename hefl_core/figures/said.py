"""What the pictures say: axes, legends, marks, and the facts of a message; for other languages (locale/extract.py)."""

SAID = (
    "standard deviations from the mean", "standard deviations", "blind guess: the average", "the attacker's guess",
    "nearest record", "false positives", "true positives", "a coin", "share recovered, or AUC", "noise / clipping norm",
    "coefficient of the key", "recovered", "entry of client 1's update", "value", "what client 1 encrypted",
    "what the thief reads", "clients that collude with the coordinator", "round", "accuracy", "place in the range from 0 to 1",
    "share", "the update itself", "ciphertext residues", "terms in the sum", "decrypts wrongly, or is refused",
    "different ciphertexts, as in a round", "one ciphertext with itself", "CPU milliseconds per round", "bytes per round",
    "forecast", "measured", "sent", "received", "encrypt", "aggregate", "decrypt", "one client", "the coordinator",
    "share of the entries encrypted", "true share of a label", "exact", "accuracy on the hold-out set",
    "balanced accuracy on the hold-out set", "average precision on the hold-out set", "loss on the hold-out set",
    "the most frequent class", "predicted", "true", "client", "examples", "MB sent by one client", "seconds since the start",
    "plain FedAvg", "best client alone", "worst client alone", "all data in one place", "upload, bytes per parameter",
    "CPU, all parties, ns per parameter and client", "private", "plain FL", "HE coordinator", "decrypted mean", "with noise",
    "yes", "no",
    "on the wire", "SHA-256 of the body", "SHA-256 of the content", "members", "key epoch", "key", "held", "dealt by",
    "public key", "cohort", "parameters d", "bound", "ciphertext to come", "its SHA-256", "listed", "digest of the list",
    "plain float32", "ciphertext", "updates added up in it", "updates added again", "equal blocks", "asked to decrypt",
    "Forecast: {said} of CPU per round for the encryption, all parties together.",
    "Forecast: {said} of CPU per round for the encryption, all parties together; measured: {came}; off by {off}.",
    "Per round: one client sends {sent}, receives {received}, computes {cpu}; the coordinator sends {its_sent}, receives "
    "{its_received}, computes {its_cpu}.",
)  # fmt: skip
