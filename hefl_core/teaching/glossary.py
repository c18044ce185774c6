"""The field's terms, one sentence and one link each, for the Lessons page and the application's tooltips."""

from __future__ import annotations

from dataclasses import dataclass

from hefl_core.errors import ParameterError


@dataclass(frozen=True)
class Term:
    """A term, what it means in one sentence, and where to read on."""

    name: str
    sentence: str
    link: str


_WIKI = "https://en.wikipedia.org/wiki/"
_ARXIV = "https://arxiv.org/abs/"
_EPRINT = "https://eprint.iacr.org/"

TERMS = (
    Term(
        "additive homomorphic encryption",
        "Encryption under which ciphertexts can be added without opening them.",
        _WIKI + "Homomorphic_encryption",
    ),
    Term(
        "aggregate",
        "The sum or mean of all clients' updates, the only thing that should ever be opened.",
        _ARXIV + "1602.05629",
    ),
    Term(
        "associated data",
        "Bytes that travel in the open but cannot be changed unnoticed.",
        _WIKI + "Authenticated_encryption",
    ),
    Term(
        "audit log", "A list of what was done to keys, in which a changed or missing line shows.", _WIKI + "Audit_trail"
    ),
    Term(
        "batch",
        "The records from which one gradient is computed.",
        _WIKI + "Stochastic_gradient_descent",
    ),
    Term(
        "BFV",
        "A Ring-LWE scheme for whole numbers whose sums are exact.",
        _EPRINT + "2012/144",
    ),
    Term(
        "ciphertext",
        "What encryption makes of a message; without the key it tells nothing but its length.",
        _WIKI + "Ciphertext",
    ),
    Term(
        "CKKS",
        "A Ring-LWE scheme for real numbers whose results carry a small error.",
        _EPRINT + "2016/421",
    ),
    Term("client", "A party that has records, trains on them and sends an encrypted update.", _ARXIV + "1602.05629"),
    Term(
        "clipping",
        "Shortening an update to a largest length, so that no client weighs more than agreed.",
        _ARXIV + "1607.00133",
    ),
    Term("cohort", "The clients that take part in one round.", _ARXIV + "1902.01046"),
    Term(
        "collusion",
        "Parties putting together what each of them sees.",
        _WIKI + "Secure_multi-party_computation",
    ),
    Term(
        "coordinator", "The party that collects encrypted updates and adds them, without a key.", _ARXIV + "1602.05629"
    ),
    Term(
        "custody",
        "Who holds the secret key: each client the whole, or several together.",
        _WIKI + "Secret_sharing",
    ),
    Term(
        "differential privacy",
        "A bound on how much one party's part (here one client's) can change what is published, reached by adding noise.",
        _WIKI + "Differential_privacy",
    ),
    Term("Dirichlet α", "How unequally labels are spread over clients; small means unequal.", _ARXIV + "1905.12022"),
    Term(
        "dropout",
        "A client that begins a round and does not finish it.",
        _EPRINT + "2017/281",
    ),
    Term(
        "envelope", "The header around every message: who, which round, which key, signed.", _WIKI + "Digital_signature"
    ),
    Term("epoch", "The time for which one key pair is in use.", _WIKI + "Key_management"),
    Term(
        "federated averaging",
        "Training in rounds in which the clients' updates are averaged into one model.",
        _ARXIV + "1602.05629",
    ),
    Term(
        "flooding noise",
        "Noise added to a partial decryption so that it does not betray the share.",
        _EPRINT + "2011/613",
    ),
    Term("forward secrecy", "Keys stolen today do not open what was sent before.", _WIKI + "Forward_secrecy"),
    Term("gradient", "For each parameter, how fast the error grows with it.", _WIKI + "Gradient"),
    Term(
        "gradient inversion",
        "Searching for the records that would make the gradient one has seen.",
        _ARXIV + "1906.08935",
    ),
    Term(
        "head-room",
        "Space left in each number so that the largest possible sum still fits.",
        _WIKI + "Integer_overflow",
    ),
    Term(
        "honest but curious",
        "A party that follows the rules and looks at all it gets.",
        _WIKI + "Secure_multi-party_computation",
    ),
    Term(
        "IND-CPA",
        "Nobody can tell which of two chosen messages a ciphertext holds.",
        _WIKI + "Ciphertext_indistinguishability",
    ),
    Term(
        "key ceremony",
        "The agreed steps by which a key is made and handed to its holders.",
        _WIKI + "Key_ceremony",
    ),
    Term(
        "key holder",
        "A party that has a share of the secret key and may be asked for a decryption.",
        _WIKI + "Threshold_cryptosystem",
    ),
    Term(
        "KMS",
        "The key management service: it enrols parties, issues keys and lets them expire.",
        _WIKI + "Key_management",
    ),
    Term("learning rate", "How far one training step goes against the gradient.", _WIKI + "Learning_rate"),
    Term(
        "malleability",
        "That a ciphertext can be changed so that the message inside changes predictably.",
        _WIKI + "Malleability_(cryptography)",
    ),
    Term("mask", "A random number that hides a message and is removed or cancels later.", _WIKI + "One-time_pad"),
    Term("membership inference", "Finding out whether a given record was used in training.", _ARXIV + "1610.05820"),
    Term(
        "model", "A formula with many parameters, chosen so that its predictions are good.", _WIKI + "Machine_learning"
    ),
    Term(
        "noise budget",
        "How much more a Ring-LWE ciphertext can be calculated with before it cannot be opened.",
        "https://github.com/microsoft/SEAL/blob/main/native/examples/1_bfv_basics.cpp",
    ),
    Term(
        "one-time key",
        "A key that hides one update in one round and is then erased; only this key is encrypted under the group's.",
        _EPRINT + "2024/936",
    ),
    Term(
        "overflow", "A sum too large for its place, which comes out wrong without a sign.", _WIKI + "Integer_overflow"
    ),
    Term(
        "packing",
        "Putting many numbers into one ciphertext.",
        "https://www.usenix.org/conference/atc20/presentation/zhang-chengliang",
    ),
    Term(
        "Paillier",
        "An additive scheme of 1999 whose security rests on factoring-like problems.",
        _WIKI + "Paillier_cryptosystem",
    ),
    Term("parameter", "One of the numbers of a model that training changes.", _WIKI + "Machine_learning"),
    Term("partial decryption", "One holder's contribution to opening a ciphertext.", _WIKI + "Threshold_cryptosystem"),
    Term(
        "party",
        "Anybody with a role in a round: client, coordinator, key service or holder.",
        _WIKI + "Secure_multi-party_computation",
    ),
    Term("poisoning", "Sending false updates to damage or direct the model.", _ARXIV + "1807.00459"),
    Term(
        "PSNR",
        "How alike two pictures are in decibels; it can flatter a wrong picture.",
        _WIKI + "Peak_signal-to-noise_ratio",
    ),
    Term(
        "public key",
        "The part of a key pair that encrypts and that anybody may have.",
        _WIKI + "Public-key_cryptography",
    ),
    Term(
        "quantisation",
        "Rounding real numbers to whole steps, so that they can be encrypted as integers.",
        _WIKI + "Quantization_(signal_processing)",
    ),
    Term(
        "quorum", "So many holders must come together to decrypt; fewer open nothing.", _WIKI + "Threshold_cryptosystem"
    ),
    Term("replay", "Sending an old message again.", _WIKI + "Replay_attack"),
    Term(
        "Ring-LWE",
        "The problem of solving noisy equations of polynomials, on which BFV and CKKS rest.",
        _WIKI + "Ring_learning_with_errors",
    ),
    Term("roster", "The signed list of who takes part and with which keys.", _WIKI + "Public_key_infrastructure"),
    Term("round", "One pass: train at home, encrypt, add, open the sum, update the model.", _ARXIV + "1602.05629"),
    Term("scheme", "A set of algorithms that make keys, encrypt, add and decrypt.", _WIKI + "Homomorphic_encryption"),
    Term("secret key", "The part of a key pair that decrypts.", _WIKI + "Public-key_cryptography"),
    Term(
        "secure aggregation",
        "Adding clients' values so that only the sum is seen, for example with masks that cancel.",
        _EPRINT + "2017/281",
    ),
    Term(
        "security level", "The bits b for which breaking takes about 2 to the power b steps.", _WIKI + "Security_level"
    ),
    Term(
        "seed",
        "The number from which a run's training randomness follows, so that it can be repeated.",
        _WIKI + "Random_seed",
    ),
    Term("slot", "One place for a number inside a packed ciphertext.", _EPRINT + "2011/133"),
    Term(
        "threshold decryption",
        "Decryption by several holders of shares, none of whom has the whole key.",
        _WIKI + "Threshold_cryptosystem",
    ),
    Term("transcript", "Every message of a run in order, signed, for anybody to check.", _WIKI + "Audit_trail"),
    Term("update", "The change of a model that a client's training makes, and all it sends.", _ARXIV + "1602.05629"),
)
"""In the order of the alphabet."""


def meaning(name: str) -> str:
    """The sentence of a term, for a tooltip. Raises: ParameterError for an unknown one.

    >>> meaning("epoch")
    'The time for which one key pair is in use.'
    """
    for term in TERMS:
        if term.name == name:
            return term.sentence
    raise ParameterError(f"term: expected one of the glossary's, found {name[:40]!r}")
