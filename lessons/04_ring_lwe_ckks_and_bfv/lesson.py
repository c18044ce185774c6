# %% [markdown]
# # 04 · Ring-LWE: CKKS and BFV, noise and precision
#
# **Goals.** You encrypt with polynomials in ten lines, see where the noise is and when it destroys a message, and can say
# what BFV and CKKS do differently with it, and which parameters are safe.
#
# **Minutes:** 45. **Prerequisites:** lesson 03 (quantising, fields, head-room). No algebra beyond "remainder".
#
# **In the application:** [Open the page](http://localhost:8501/inside?dataset=digits&scheme=bfv-lean) *Inside a ciphertext*.
#
# Stuck at a question? Call `hint("04.1")`, again for the next hint.

# %%
import numpy as np

from hefl_core.errors import ParameterError
from hefl_core.measure.precision import explored_bfv, security, wear
from hefl_core.figures import ciphertext as pictures
from hefl_core.measure.specimen import (
    Specimen,
    ciphertext_uniformity,
    layout,
    plaintext_uniformity,
    sample_update,
    twice,
)
from hefl_core.teaching import check, hint

# %% tags=["parameters"]
FULL = False
REPEAT = 20 if FULL else 4
TOY_TRIALS = 2000 if FULL else 300

# %% [markdown]
# ## 1 · Polynomials that wrap around
#
# A *ring element* here is a list of N integers modulo q: the coefficients of a polynomial. Addition goes entry by entry.
# Multiplication is that of polynomials, with one rule: $X^N = -1$, so what grows past the end comes back at the front with
# the other sign. Write R_q for this ring; N is the **polynomial modulus degree**, q the **coefficient modulus**.


# %% exercise="04.1" tags=["exercise"]
# Multiply two polynomials of N coefficients modulo q and X^N + 1.
def ring_multiply(a, b, q):
    return np.zeros(len(a), dtype=np.int64)


check("04.1", ring_multiply)

# %%
N, q, t = 8, 12289, 16  # toy numbers: anybody breaks them
DELTA = q // t
rng = np.random.default_rng(4)


def times(a, b):
    """The same product, so that the lesson goes on whatever you wrote above."""
    full = np.convolve(a, b)
    return (full[:N] - np.append(full[N:], 0)) % q


print("X^7 · X^1 =", times(np.eye(N, dtype=np.int64)[7], np.eye(N, dtype=np.int64)[1]), "that is −1 modulo", q)

# %% [markdown]
# ## 2 · Hiding behind noise
#
# The secret s has coefficients −1, 0, 1. To encrypt m (coefficients 0 … t−1; t is the **plaintext modulus**), draw a
# uniform a and a small error e, and send the pair
#
# $$c_1 = a, \qquad c_0 = \Delta m + e - a \cdot s, \qquad \Delta = \lfloor q/t \rfloor .$$
#
# Whoever knows s computes the *phase* c₀ + c₁·s = Δm + e and rounds to a multiple of Δ. *Ring-LWE* is the problem of
# telling such pairs from uniform ones without s (Lyubashevsky, Peikert and Regev 2010).

# %%
secret = rng.integers(-1, 2, N)


def encrypt(m):
    """A pair (c0, c1)."""
    a, e = rng.integers(0, q, N), rng.integers(-3, 4, N)
    return (DELTA * m + e - times(a, secret)) % q, a


def phase(c):
    """Δ·m + noise."""
    return (c[0] + times(c[1], secret)) % q


message = np.array([3, 1, 4, 1, 5, 9, 2, 6])
pair = encrypt(message)
print("c0     ", pair[0], "\nc1     ", pair[1], "\nphase  ", phase(pair))
print(
    "message",
    np.rint(phase(pair) / DELTA).astype(int) % t,
    " noise",
    (phase(pair) - DELTA * message + q // 2) % q - q // 2,
)

# %% [markdown]
# **A key to give away.** So far whoever encrypts needs s. From lesson 05 on clients use a **public key**: one such pair that
# hides nothing but zero, $(p_0, p_1) = (e - a s,\; a)$. To encrypt with it draw small $u, e_1, e_2$ and send
#
# $$c_0 = p_0 u + \Delta m + e_1, \qquad c_1 = p_1 u + e_2 .$$
#
# The phase is now $\Delta m + (e u + e_1 + e_2 s)$: the same message, more noise, and s was not needed.

# %%
public_a = rng.integers(0, q, N)
public_key = (rng.integers(-3, 4, N) - times(public_a, secret)) % q, public_a


def encrypt_for_all(m):
    """A pair (c0, c1), made without the secret."""
    u, e1, e2 = rng.integers(-1, 2, N), rng.integers(-3, 4, N), rng.integers(-3, 4, N)
    return (times(public_key[0], u) + DELTA * m + e1) % q, (times(public_key[1], u) + e2) % q


given = encrypt_for_all(message)
print("message", np.rint(phase(given) / DELTA).astype(int) % t, "from a pair that was made without the secret")

# %% exercise="04.2" tags=["exercise"]
# Suppose e were always zero. What would somebody without s do with c0, c1 and a guess of m?
# 0: nothing, a is uniform   1: solve linear equations for s   2: factor q
why_noise = ...
check("04.2", why_noise)

# %%
basis = np.eye(N, dtype=np.int64)
known = rng.integers(0, q, N)  # c1
noiseless = (DELTA * message - times(known, secret)) % q  # c0 with e = 0
columns = np.stack([times(known, column) for column in basis], axis=1)  # c1·s as a matrix times s
rows = np.column_stack([columns, (DELTA * message - noiseless) % q]).astype(object)
for i in range(N):  # Gauss-Jordan modulo the prime q
    pivot = next(k for k in range(i, N) if rows[k][i] % q)
    rows[[i, pivot]] = rows[[pivot, i]]
    rows[i] = rows[i] * pow(int(rows[i][i]), -1, q) % q
    for k in range(N):
        if k != i:
            rows[k] = (rows[k] - rows[k][i] * rows[i]) % q
solved = np.array([int(v) if v <= q // 2 else int(v) - q for v in rows[:, N]])
print("solved from one noiseless pair:", solved, "\nthe secret:                    ", secret)

# %% [markdown]
# ## 3 · Adding adds the noise too
#
# Ciphertexts are added entry by entry. The messages add (modulo t), and so do the errors.

# %% exercise="04.3" tags=["exercise"]
# q = 12289, t = 16, Δ = 768. The noise must stay below which absolute value for the rounding to be right?
noise_limit = ...
check("04.3", noise_limit)

# %%
for terms in (1, 4, 16, 64):
    noise = []
    for _ in range(TOY_TRIALS // terms + 5):
        c0, c1 = np.zeros(N, dtype=np.int64), np.zeros(N, dtype=np.int64)
        for _ in range(terms):
            more = encrypt(np.zeros(N, dtype=np.int64))
            c0, c1 = (c0 + more[0]) % q, (c1 + more[1]) % q
        noise.append((phase((c0, c1)) + q // 2) % q - q // 2)
    print(f"{terms:3d} terms: noise has standard deviation {np.std(noise):5.2f}")

# %% [markdown]
# Errors of both signs cancel: four times as many terms, about twice the noise. The *noise budget* counts in bits how far
# the noise is from the limit; at zero the message is lost.
#
# ## 4 · The real ring
#
# The library hands the ring arithmetic to Microsoft SEAL (through TenSEAL). A *preset* names a set of numbers.

# %%
bfv, ckks = Specimen.make("bfv-lean"), Specimen.make("ckks-lean")
for one in (bfv, ckks):
    p = one.scheme.preset
    print(
        f"{p.name}: N = {p.degree}, primes of {p.prime_bits} bits (the last only cleans fresh noise), q has {p.data_bits} bits"
    )
update = sample_update(2410)
same = twice(bfv, update)
print(f"the same update twice: {same.equal} of {same.residues} residues equal, same plaintext: {same.equal_plaintexts}")

# %% [markdown]
# Encryption is randomised: an observer cannot tell that it is the same update. A *residue* is one coefficient of a
# ciphertext, modulo one prime. Are residues distinguishable from uniform numbers? A test (Kolmogorov-Smirnov:
# the largest gap between two distributions) looks. Its *p-value* says how often truly uniform numbers look at least as
# uneven; only a tiny one speaks against them:

# %%
cipher, plain = ciphertext_uniformity(bfv, bfv.encrypt(update)), plaintext_uniformity(update)
print(pictures.residues_caption(cipher, plain))
pictures.residues(cipher, plain)

# %% [markdown]
#
# **BFV** (Brakerski 2012; Fan and Vercauteren 2012) is what you just built: integers modulo t, exact while the budget lasts.
# For real numbers each *word* (coefficient) holds a few of lesson 03's fields. **CKKS** (Cheon, Kim, Kim and Song 2017)
# multiplies real numbers by a **scale**, puts them
# into $N/2$ *slots*, and does not round the noise away: it stays in the number's last bits.
#
# One word of `bfv-lean` for a sum of five clients:

# %%
word = layout("bfv-lean", max_terms=5, parameters=2410)
print(", ".join(f"{name}: {width} bits" for name, width in word.bits))
pictures.word_bits(word)

# %% exercise="04.4" tags=["exercise"]
# Encrypt and decrypt the same update several times under each scheme. Which error is the same every time?
# 0: BFV's   1: CKKS's   2: both   3: neither
prediction = ...
check("04.4", prediction)

# %%
for one in (bfv, ckks):
    errors = [np.abs(one.decrypt(one.encrypt(update)) - update).max() for _ in range(REPEAT)]
    print(f"{one.scheme.preset.name:10s}", "  ".join(f"{error:.6e}" for error in errors))

# %% [markdown]
# BFV's error is the quantisation, fixed before encrypting. CKKS's is fresh noise, smaller here, and **it depends on the
# secret key**: a CKKS decryption handed to whoever holds the ciphertext can give the key away (Li and Micciancio 2021).
# Lesson 09 does it. For the same reason an exact check sum (a *tag*) fits BFV and not CKKS.


# %%
def sum_of(one, clients):
    """Sum of so many updates: (bytes of one upload, largest error, what the scheme promises)."""
    vectors = [sample_update(2410, seed=k) for k in range(clients)]
    total = one.encrypt(vectors[0], max_terms=clients)
    size = total.nbytes
    for k, vector in enumerate(vectors[1:], 2):
        total = one.scheme.add(one.key, total, one.encrypt(vector, f"client-{k}", max_terms=clients))
    bound = one.scheme.preset.default_bound
    return size, np.abs(one.decrypt(total) - sum(vectors)).max(), one.scheme.sum_error(bound, clients, clients)


for one in (bfv, ckks):
    size, error, promised = sum_of(one, 5)
    print(
        f"{one.scheme.preset.name:10s} {size:7,d} bytes, error of the sum {error:.1e}, promised at most {promised:.1e}"
    )

# %% [markdown]
# ## 5 · How a ciphertext wears
#
# Two ways to a sum of K terms: K *different* ciphertexts, as in a round of learning, or one ciphertext doubled again and
# again. In the second the error meets itself, always with the same sign.

# %% exercise="04.5" tags=["exercise"]
# How many bits of noise budget does each doubling of *one* ciphertext cost?
bits_per_doubling = ...
check("04.5", bits_per_doubling)

# %%
worn = wear("bfv-lean")
for name, points in (("different ciphertexts", worn.independent), ("one, doubled", worn.doubled[:8])):
    print(name + ":", ", ".join(f"{p.terms}: {p.bits:.1f}" for p in points))
print(f"doubling breaks at {worn.breaks_at:,} terms; the preset allows {worn.head_room}")

# %% [markdown]
# The allowed number of terms stays far from the edge, on purpose. A decryption that fails *sometimes*
# gives attackers the key of exact schemes as well (Cheon et al., eprint 2024/127; Checri et al., eprint 2024/116). So each BFV preset must satisfy a rule, and one that breaks it does not load.
#
# ## 6 · Which parameters are safe?
#
# Ring-LWE is attacked as a *lattice* problem: finding short vectors in a regular grid of points. A larger q makes room for
# noise, and makes that problem **easier**. A larger N makes it harder, and ciphertexts
# longer. The HomomorphicEncryption.org standard (2018) and the guidelines of 2024 (eprint 2024/463) list how many bits
# all primes may have together for 128-bit security.

# %%
for degree, primes in ((2048, (53,)), (4096, (60, 20)), (4096, (60, 40, 40, 60)), (8192, (60, 40, 40, 60))):
    found = security(degree, primes)
    print(
        f"N = {degree}: {found.used} bits used, allowed {found.limit_2018} (2018), {found.limit_2024} (2024): fits {found.fits}"
    )
try:
    explored_bfv(4096, (60, 20), plain_bits=50, fields=3, field_bits=16, max_terms=32)
except ParameterError as error:
    print("three fields of 16 bits:", error)

# %% exercise="04.6" tags=["exercise"]
# Find safe BFV parameters at N = 4096 with at least 3 fields of at least 14 bits, for at least 32 terms:
# (degree, prime_bits, plain_bits, fields, field_bits, max_terms). The fields must fit into plain_bits.
mine = (4096, (60, 20), 50, 3, 16, 32)
check("04.6", mine)

# %% [markdown]
# Try your numbers on the application's page too: it measures what they cost and give.
#
# ## Further reading
#
# - Lyubashevsky, Peikert, Regev, *On Ideal Lattices and Learning with Errors over Rings*, EUROCRYPT 2010.
# - Brakerski, *Fully Homomorphic Encryption without Modulus Switching from Classical GapSVP*, CRYPTO 2012, eprint 2012/078.
# - Fan, Vercauteren, *Somewhat Practical Fully Homomorphic Encryption*, eprint 2012/144 (BFV).
# - Cheon, Kim, Kim, Song, *Homomorphic Encryption for Arithmetic of Approximate Numbers*, eprint 2016/421 (CKKS).
# - Li, Micciancio, *On the Security of Homomorphic Encryption on Approximate Numbers*, eprint 2020/1533.
# - In the code: `hefl_core/schemes/presets.py` (every number with its rule), `bfv.py`, `ckks.py`.
#
# Next: lesson 05 puts such ciphertexts into a conversation between parties who do not trust each other.
