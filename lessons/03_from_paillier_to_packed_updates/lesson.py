# %% [markdown]
# # 03 · From Paillier to packed updates
#
# **Goals.** You turn a model update of real numbers into integers, know the error this costs, pack many of them into one
# Paillier ciphertext, and keep a sum from spilling over.
#
# **Minutes:** 40. **Prerequisites:** lesson 02 (Paillier by hand: keys, encrypting, adding by multiplying).
#
# **In the application:** [Open the page](http://localhost:8501/inside?dataset=digits&scheme=paillier-packed) *Inside a ciphertext*.
#
# Stuck at a question? Call `hint("03.1")`, again for the next hint.

# %%
import math
import time

import numpy as np

from hefl_core.errors import EncodingError, IntegrityError
from hefl_core.measure.specimen import sample_update
from hefl_core.schemes.fixed_point import FixedPoint, pack, unpack
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme
from hefl_core.teaching import check, hint

# %% tags=["parameters"]
FULL = False
NAIVE_ENTRIES = 40 if FULL else 4
PACKED_ENTRIES = 2410

# %% [markdown]
# ## 1 · Real numbers become integers
#
# Paillier adds integers modulo n. An *update* (what a client's training changed in the model) is a list of real numbers.
# *Quantising* writes each as a whole number of *steps*. To fix the step, somebody must promise a **bound**: no entry is
# larger in absolute value. With b bits of which one is the sign, the whole numbers reach from
# $-(2^{b-1} - 1)$ to $2^{b-1} - 1$, so
#
# $$\text{step} = \frac{\text{bound}}{2^{b-1} - 1}, \qquad q = \mathrm{round}(x / \text{step}).$$

# %%
update = sample_update(8)
bits, bound = 8, 1.0
step = bound / (2 ** (bits - 1) - 1)
whole = np.rint(update / step).astype(int)
print("update   ", np.round(update, 4))
print("quantised", whole)
print("restored ", np.round(whole * step, 4))
print(f"step {step:.5f}, largest error here {np.abs(update - whole * step).max():.5f}")

# %% exercise="03.1" tags=["exercise"]
# What is the largest error that rounding to the nearest step can make, at 8 bits and bound 1.0? (three significant digits)
largest_error = ...
check("03.1", largest_error)

# %% [markdown]
# Four more bits divide the error by about sixteen. It is a *quantisation* error: it has nothing to do with encryption, and
# Paillier adds none of its own.

# %%
sample = sample_update(5000)
for value_bits in (6, 8, 12, 16, 18):
    coder = FixedPoint(value_bits, max_terms=1)
    back = coder.restore(coder.quantise(sample, 1.0), 1.0, terms=1)
    print(
        f"{value_bits:2d} bits: largest error {np.abs(back - sample).max():.1e}, promised {coder.sum_error(1.0, 1):.1e}"
    )

# %% [markdown]
# ## 2 · Negative numbers, and room for the sum
#
# Negative integers modulo n are huge, and a packed neighbour would suffer from the borrow. So each value is shifted by an
# **offset** of $2^{b-1}$ and becomes positive; a sum of K values carries K offsets, which the decoder subtracts.
#
# A sum of K values of b bits needs more than b bits. The extra ceil(log₂ K) bits are the **head-room**: a *field* of F bits
# for sums of at most K terms keeps b = F − ceil(log₂ K) for the value. The library fixes K before anybody encrypts; it is
# called `max_terms`. Source: BatchCrypt (Zhang et al., USENIX ATC 2020), section 4.

# %%
for terms in (1, 2, 3, 5, 64):
    coder = FixedPoint(field_bits=20, max_terms=terms)
    print(f"K = {terms:2d}: {coder.value_bits} value bits, offset {coder.offset}, step {coder.step(1.0):.1e}")

# %% exercise="03.2" tags=["exercise"]
# A field has 20 bits. How many are left for the value when up to 16 clients are summed?
value_bits_left = ...
check("03.2", value_bits_left)

# %% [markdown]
# ## 3 · Many fields in one number
#
# A Paillier plaintext has thousands of usable bits (section 5 prints how many), a field only a few.
# **Packing** puts the fields side by side, the first lowest:
#
# $$m = f_0 + f_1 \cdot 2^F + f_2 \cdot 2^{2F} + \dots$$
#
# Adding two such numbers adds all fields at once, as long as none needs more than F bits.


# %% exercise="03.3" tags=["exercise"]
# Write the packing: fields are small non-negative integers, the first goes lowest. Python's integers have no limit.
def pack_fields(fields, field_bits):
    return 0


check("03.3", pack_fields)

# %%
EIGHT = 8
a, b = np.array([100, 7, 30], dtype=np.uint64), np.array([27, 5, 90], dtype=np.uint64)
total = pack(a, 3, EIGHT) + pack(b, 3, EIGHT)
print("one sum of packed numbers:", int(total[0]))
print("its fields:               ", unpack(total, 3, EIGHT, 3))
print("field by field:           ", a + b)

# %% [markdown]
# ## 4 · Predict: what does an overflow look like?
#
# Now the first field of both numbers is 200. Fields still have 8 bits, so 255 is the largest. Nobody left head-room.

# %% exercise="03.4" tags=["exercise"]
# What comes out of adding [200, 7, 30] and [200, 5, 90] packed into 8-bit fields?
# 0: an error, the arithmetic notices   1: only the first field is wrong   2: the first is too small, the second too large
prediction = ...
check("03.4", prediction)

# %%
a, b = np.array([200, 7, 30], dtype=np.uint64), np.array([200, 5, 90], dtype=np.uint64)
total = pack(a, 3, EIGHT) + pack(b, 3, EIGHT)
print("packed sum gives", unpack(total, 3, EIGHT, 3), "instead of", a + b)

# %% [markdown]
# The carry went next door, silently. Under encryption nobody can look, so it has to be impossible beforehand. The library
# refuses in three places: an entry beyond the bound, one addition too many, and a decrypted field that no honest sum holds.

# %%
scheme = open_scheme("paillier-packed")
key, (share,) = scheme.keygen(Quorum(1, 1))
small = scheme.encrypt(key, sample_update(10), bound=1.0, max_terms=2)
pair = scheme.add(key, small, small)
for what, attempt in (
    ("an entry beyond the bound", lambda: scheme.encrypt(key, np.array([1.3]), bound=1.0)),
    ("a third term", lambda: scheme.add(key, pair, small)),
    ("a field out of range", lambda: FixedPoint(20, 2).restore(np.array([0], dtype=np.uint64), 1.0, terms=2)),
):
    try:
        attempt()
    except (EncodingError, IntegrityError) as error:
        print(f"{what}: {type(error).__name__}: {error}")

# %% [markdown]
# The first refusal asks to *clip*, that is to shorten the update until it fits. Lesson 09 returns to what a dishonest client may still do
# within its bound.
#
# ## 5 · The real thing, one by one and packed
#
# `paillier-naive` is what a first attempt with the library `phe` does: one value, one ciphertext. `paillier-packed` is the
# same mathematics with fields. Both have a modulus n of the same size; a ciphertext is a number below n².

# %%
naive = open_scheme("paillier-naive")
naive_key, (naive_share,) = naive.keygen(Quorum(1, 1))
for opened in (naive, scheme):
    layout, n_bits = opened.words.layout, opened.preset.modulus_bits
    print(f"{opened.preset.name}: n has {n_bits} bits, a ciphertext {2 * n_bits // 8} bytes")
    print(f"    usable for plaintext {layout.usable_bits} bits, a field {layout.field_bits} bits")

# %% exercise="03.5" tags=["exercise"]
# How many values does one ciphertext of paillier-packed hold (2047 usable bits, fields of 20 bits)?
values_per_ciphertext = ...
check("03.5", values_per_ciphertext)


# %%
def one_sum(opened, public, secret, length):
    """Encrypt twice, add, decrypt: (CPU ms per entry, bytes per entry, largest error of the sum)."""
    x, y = sample_update(length, seed=1), sample_update(length, seed=2)
    begin = time.process_time()
    first, second = (opened.encrypt(public, v, bound=1.0, max_terms=2) for v in (x, y))
    added = opened.add(public, first, second)
    back = opened.combine(public, added, [opened.partial_decrypt(secret, added, (1,))])
    cpu = time.process_time() - begin
    return 1000 * cpu / length, first.nbytes / length, np.abs(back - (x + y)).max()


slow = one_sum(naive, naive_key, naive_share, NAIVE_ENTRIES)
fast = one_sum(scheme, key, share, PACKED_ENTRIES)
for name, (ms, nbytes, error) in (("one by one", slow), ("packed", fast)):
    print(f"{name:10s} {ms:9.3f} ms and {nbytes:6.1f} bytes per entry, largest error {error:.1e}")
print(f"ratio: {slow[0] / fast[0]:,.0f} in CPU, {slow[1] / fast[1]:.0f} in bytes; float32 has 4 bytes per entry")

# %% [markdown]
# Bytes fall by the number of fields per ciphertext. CPU falls further, because the packed preset also makes its random
# *masks* (the rⁿ of lesson 02) from shorter exponents (Damgård, Jurik and Nielsen 2010).
#
# Packing costs nothing in secrecy: a coordinator sees the same kind of ciphertexts, only fewer. The price is precision, for each
# value gets a field of few bits, and a limit on how many updates can be added.

# %% exercise="03.6" tags=["exercise"]
# The cohort grows from 8 to 16 clients; fields stay as wide. What happens to the largest error of the *mean*?
# 0: it halves, more terms average it out   1: it stays   2: it doubles, one value bit became head-room
prediction = ...
check("03.6", prediction)

# %%
for terms in (4, 8, 16, 32, 64):
    error_of_mean = FixedPoint(20, terms).sum_error(1.0, terms) / terms
    print(f"K = {terms:2d}: largest error of the mean {error_of_mean:.1e}")

# %% [markdown]
# ## Further reading
#
# - Paillier, *Public-Key Cryptosystems Based on Composite Degree Residuosity Classes*, EUROCRYPT 1999: sections 4 and 8.
# - Zhang et al., *BatchCrypt: Efficient Homomorphic Encryption for Cross-Silo Federated Learning*, USENIX ATC 2020.
# - Damgård, Jurik, Nielsen, *A generalization of Paillier's public-key system*, 2010: short masks.
# - In the code: `hefl_core/schemes/fixed_point.py` and `hefl_core/schemes/paillier/big_words.py`.
#
# Next: lesson 04 packs thousands of fields into one *ring* ciphertext, and there adding costs almost nothing.
