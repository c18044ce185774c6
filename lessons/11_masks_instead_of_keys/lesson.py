# %% [markdown]
# # 11 · Masks instead of keys
#
# **You will be able to** build secure aggregation with masks that cancel, say what it takes when a client drops out, and choose
# between masks and homomorphic encryption with reasons.
#
# **Time** 45 minutes. **Before** lessons 03 (fields), 05 (the round) and 07 (costs).
#
# **In the application** [Costs](http://localhost:8501/costs?dataset=digits&scheme=onetime)
#
# "Why not **secure aggregation**?" is what a committee asks first. It needs no key that decrypts: the clients add **masks**,
# random numbers that cancel in the sum. You build it here, break it, and mend it as Bonawitz and others did.

# %%
import time
from itertools import combinations

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hefl_core.measure.sizes import round_bytes
from hefl_core.measure.specimen import Specimen, sample_update
from hefl_core.schemes.fixed_point import FixedPoint
from hefl_core.teaching import check, hint
from hefl_core.terms.experiment import Experiment

# %% tags=["parameters"]
FULL = False
LENGTH = 99_530 if FULL else 20_000
REPEAT = 5 if FULL else 2

# %% [markdown]
# ## Whole numbers that wrap around
# Every client rounds its update to whole numbers, as in lesson 03. We calculate modulo $2^{32}$: NumPy's `uint32` wraps
# around by itself. A uniform word plus any number is a uniform word again; that is all the secrecy there is here.

# %%
BOUND, CLIENTS = 1.0, 5
fields = FixedPoint(16, CLIENTS)
updates = [sample_update(LENGTH, seed=number) for number in range(CLIENTS)]
numbers = [fields.quantise(one, BOUND).astype(np.uint32) for one in updates]
print("an update's first numbers:", numbers[0][:4])


# %% [markdown]
# ## One secret for each pair
# Each *pair* of clients shares a secret **seed**, and makes the same random words from it. One of the two adds them, the other
# subtracts them: in the sum they are gone.


# %%
def words(seed, length):
    """Random words modulo 2^32 from a seed. A product takes a cipher such as AES or ChaCha20 for it."""
    return np.random.default_rng(seed).integers(0, 2**32, length, dtype=np.uint32)


def pairs_of(clients, draw):
    """The seed of each pair (a, b) with a < b."""
    return {pair: draw() for pair in combinations(range(clients), 2)}


seeds = pairs_of(CLIENTS, lambda: int(np.random.default_rng().integers(2**63)))

# %% exercise="11.1" tags=["exercise"]
# How many seeds are there for 100 clients?
answer = ...
check("11.1", answer)


# %% exercise="11.2" tags=["exercise"]
# Write what client `me` sends: its numbers, plus the words of each pair in which it comes first, minus the words of each pair
# in which it comes second. `seeds` has the seed of each pair (a, b), a < b; `words(seed, length)` makes the words.
def masked(numbers, me, seeds, words):
    return numbers


check("11.2", masked)

# %% [markdown]
# What the coordinator sees of one client, and of all:


# %%
def sent_by(me):
    """The same as yours, so that the lesson goes on if yours is not right yet."""
    found = numbers[me].copy()
    for (first, second), seed in seeds.items():
        if first == me:
            found += words(seed, LENGTH)
        elif second == me:
            found -= words(seed, LENGTH)
    return found


uploads = [sent_by(me) for me in range(CLIENTS)]
total = np.sum(uploads, axis=0, dtype=np.uint32)
print("one upload:", uploads[0][:4])
print("likeness of an upload to its update:", f"{np.corrcoef(uploads[0], updates[0])[0, 1]:.3f}")
print("the sum is right:", np.array_equal(total, np.sum(numbers, axis=0, dtype=np.uint32)))

# %% [markdown]
# The sum stands **in the open**, at the coordinator. That is the first difference from this product, where the coordinator adds
# ciphertexts and only clients open the sum.
#
# ## Where the seeds come from
# The coordinator must not know them, yet every message passes through it. Two clients *agree* on a secret in the open: each
# publishes a public key, and both calculate the same secret from the other's (Diffie and Hellman 1976). So masks need keys too:
# a key pair per client, and somebody who vouches for whose it is.

# %%
anna, ben = X25519PrivateKey.generate(), X25519PrivateKey.generate()
at_anna, at_ben = anna.exchange(ben.public_key()), ben.exchange(anna.public_key())
print("the same secret at both:", at_anna == at_ben, at_anna.hex()[:16], "…")

# %% exercise="11.3" tags=["exercise"]
# The coordinator hands Anna a public key of its own as Ben's, and Ben one as Anna's. What happens?
# 0: the sum is wrong, so that everybody sees it   1: nothing: public keys are public
# 2: it can know both secrets, unless somebody the clients trust has signed whose key is whose
answer = ...
check("11.3", answer)

# %% [markdown]
# ## A client drops out
# Client 2 committed and then lost its line. Its masks are in the others' uploads and cancel with nothing:

# %%
GONE = 2
present = [me for me in range(CLIENTS) if me != GONE]
partial = np.sum([uploads[me] for me in present], axis=0, dtype=np.uint32)
wanted = np.sum([numbers[me] for me in present], axis=0, dtype=np.uint32)
print("words that are right:", int(np.sum(partial == wanted)), "of", LENGTH)


# %% exercise="11.4" tags=["exercise"]
# The clients that are left tell the coordinator the seeds that they share with the one that is gone. Write how it takes the
# leftover masks out of `partial`; `told` has the seeds of the pairs (a, b) with `gone` in them.
def without_leftovers(partial, gone, told, words):
    return partial


check("11.4", without_leftovers)

# %% [markdown]
# ## Late, not gone
# Suppose that client 2's upload was only *late*. Now the coordinator knows all its seeds, and its upload arrives:

# %%
late = uploads[GONE].copy()
for (first, second), seed in seeds.items():
    if GONE == first:
        late -= words(seed, LENGTH)
    elif GONE == second:
        late += words(seed, LENGTH)
read = fields.restore(late.astype(np.uint64), BOUND, 1)
print("likeness to client 2's update:", f"{np.corrcoef(read, updates[GONE])[0, 1]:.3f}")

# %% [markdown]
# The mend has a name, the *second mask*: every client adds words of a seed of its own too, and hands out **shares** of both
# of its secrets (lesson 06's t of n). For a client that is there, the others give shares of its own seed; for one that is gone,
# shares of its pair secrets. Never of both: an honest client answers once in a round. Source: Bonawitz et al., *Practical
# Secure Aggregation*; Bell et al. 2020 need pairs with few neighbours only.

# %% exercise="11.5" tags=["exercise"]
# Why does the second mask close the gap of the late upload?
# 0: because it is longer   1: because the coordinator then knows the pair seeds, but not the late client's own
# 2: because late uploads are refused
answer = ...
check("11.5", answer)

# %% [markdown]
# ## Beside ours, measured
# A masked number takes a word that has room for the sum: four bytes here, and fewer with fewer bits, as in
# lesson 07. Making the masks takes random words for each pair. Both in one run:


# %%
def cpu_ns(work):
    """Least CPU of a few tries, in nanoseconds per parameter."""
    took = []
    for _ in range(REPEAT):
        begin = time.process_time_ns()
        work()
        took.append(time.process_time_ns() - begin)
    return min(took) / LENGTH


print(f"{'':22s} {'upload, bytes/parameter':>24s} {'client, CPU ns/parameter':>26s}")
print(f"{'masks, 5 clients':22s} {4:24.2f} {cpu_ns(lambda: sent_by(0)):26.0f}")
for name in ("bfv-compact", "onetime"):
    specimen, size = Specimen.make(name), round_bytes(Experiment(scheme=name), LENGTH).up / LENGTH
    took = cpu_ns(lambda one=specimen: one.encrypt(sample_update(LENGTH)))
    print(f"{name:22s} {size:24.2f} {took:26.0f}")

# %% [markdown]
# | | masks (SecAgg) | homomorphic encryption here |
# |---|---|---|
# | who can read the sum | the **coordinator** | clients only (t of n of them) |
# | rests on | key agreement and a random generator | hardness of lattices (or of factoring) |
# | a client's work grows with | its number of neighbours | nothing but the model's size |
# | a client drops out | shares are collected, a round more | nothing: the others' sum opens |
# | one message more or less | masks of that set only cancel | any set of ciphertexts adds |
# | a newcomer | new pair secrets | takes the public key |
#
# Masks are the better choice where the coordinator *may* know the sum and clients are phones that come and go in large
# numbers. Encryption is the better one where nobody but the clients may know the model, and for few, steady clients. This
# product's `onetime` family is both: each client masks its numbers with a key of its own, and encryption opens
# nothing but the *sum of the keys*.
#
# **Further reading** Bonawitz et al. 2017, [eprint 2017/281](https://eprint.iacr.org/2017/281); Bell et al. 2020,
# [eprint 2020/704](https://eprint.iacr.org/2020/704).
