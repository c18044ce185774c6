# %% [markdown]
# # 06 · Whose key? KMS, epochs, individual and collective decryption
#
# **Goals.** You deal a key and see who holds what; split a secret so that any t of n can use it and t − 1 cannot; decrypt
# together; and end a key's life by rotating, revoking and destroying it, then try to open old messages with a stolen one.
#
# **Minutes:** 45. **Prerequisites:** lessons 04 (ciphertexts and noise) and 05 (the round).
#
# **In the application:** [Open the page](http://localhost:8501/keys?scheme=bfv-threshold&custody=3-of-5&clients=5) *Keys*,
# five clients of which any three decrypt.
#
# Stuck at a question? Call `hint("06.1")`, again for the next hint.

# %%
import secrets

import numpy as np

from hefl_core.errors import HeflError
from hefl_core.terms.experiment import Experiment
from hefl_core.app.key_playground import KeyPlayground
from hefl_core.runtime.run import Run
from hefl_core.schemes.flooding import at_ceiling
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import load_preset, open_scheme
from hefl_core.teaching import check, hint

# %% tags=["parameters"]
FULL = False
SHARED = "bfv-threshold" if FULL else "INSECURE_bfv-threshold-1024"  # the small ring is for speed, not for use

# %% [markdown]
# ## 1 · One key, two ways to hold it
#
# Somebody must be able to decrypt the sum, and it must not be the coordinator. **Custody** says who:
#
# - *individually*: every client has the whole key; written 1 of n. Fast; one client that works with the coordinator opens
#   every upload.
# - *collectively*: every client has a *share*, and any t of n of them decrypt together. Fewer than t learn nothing.
#
# The **key management service** (KMS) makes the key, **deals** it to the clients and deletes its own copy. A **dealer-free**
# *ceremony* has no such moment: the clients make the key together, and nobody ever holds it whole.

# %%
for custody, preset in (("individual", "bfv-lean"), ("3-of-5", SHARED)):
    held = KeyPlayground(preset, 5, custody).holdings()
    print(f"{custody:11s}", {who: epochs[1] for who, epochs in held.items() if who != "client-3"})

# %% exercise="06.1" tags=["exercise"]
# Custody 3-of-5. Which coalition can open client-1's upload?
# 0: coordinator + client-2   1: coordinator + auditor   2: coordinator + client-2 + client-3   3: clients 2, 3, 4 + coordinator
coalition = ...
check("06.1", coalition)

# %% [markdown]
# ## 2 · Shares by hand
#
# **Shamir sharing** (1979): hide the secret as the constant term of a random polynomial of degree t − 1 modulo a prime p.
# Holder i gets the value at i. t points fix the polynomial; with t − 1 points every secret is still equally likely. The
# secret is a weighted sum of the shares, with **Lagrange weights** that depend on who takes part, the **active set** A:
#
# $$f(0)=\sum_{i\in A}\lambda_i^A\,f(i),\qquad \lambda_i^A=\prod_{j\in A,\,j\neq i}\frac{j}{j-i}\pmod p$$

# %%
p, secret = 97, 42
polynomial = [secret, secrets.randbelow(p), secrets.randbelow(p)]  # degree 2: any three of five
shares = {x: sum(c * x**k for k, c in enumerate(polynomial)) % p for x in range(1, 6)}
print("shares of 42:", shares)


# %% exercise="06.2" tags=["exercise"]
# The Lagrange weight of holder `index` in the set `active`, modulo p. pow(x, -1, p) is the inverse of x.
def weight(active, index, p):
    return 1


check("06.2", weight)

# %%
for active in ((1, 2, 5), (2, 3, 4), (1, 2)):
    found = sum(weight(active, i, p) * shares[i] for i in active) % p
    print(active, "→", found, "the secret" if found == secret else "not the secret")
possible = []
for guess in range(p):  # is there a polynomial of degree 2 with this secret that fits the shares of holders 1 and 2?
    one, two = ((shares[x] - guess) * pow(x, -1, p) % p for x in (1, 2))
    curve = (guess, (2 * one - two) % p, (two - one) % p)
    if all(sum(c * x**k for k, c in enumerate(curve)) % p == shares[x] for x in (1, 2)):
        possible.append(guess)
print("secrets that two shares leave possible:", len(possible), "of", p)

# %% [markdown]
# ## 3 · Decrypt together, without putting the key together
#
# A ring ciphertext is a pair (c₀, c₁), and the plaintext sits in c₀ + c₁·s. With s = Σ λᵢ sᵢ, each active holder sends its
# **partial decryption** dᵢ = λᵢ·c₁·sᵢ + eᵢ, and anybody who gets t of them adds up: c₀ + Σ dᵢ. The key itself never appears.
# The large random eᵢ is the **flooding**; the next section needs it. (hefl also adds masks that cancel in the sum, so
# that nobody reads a single dᵢ.)

# %%
scheme = open_scheme(SHARED)
public_key, key_shares = scheme.keygen(Quorum(3, 5))
a, b = np.linspace(-0.4, 0.4, 6), np.full(6, 0.1)
total = scheme.add(public_key, *(scheme.encrypt(public_key, x, max_terms=5) for x in (a, b)))


def together(*indices):
    """What these holders get from the sum."""
    partials = [scheme.partial_decrypt(key_shares[i - 1], total, indices) for i in indices]
    return scheme.combine(public_key, total, partials)


print("holders 1, 3, 4:", together(1, 3, 4).round(3), "true:", (a + b).round(3))
print("holders 2, 3, 5:", together(2, 3, 5).round(3))

# %% exercise="06.3" tags=["exercise"]
# Holders 1 and 2 alone ask the library for the sum of a 3-of-5 key. What happens?
# 0: they get the sum with more noise   1: they get a third of it   2: the library refuses: fewer partials than t
two_holders = ...
check("06.3", two_holders)

# %%
try:
    together(1, 2)
except HeflError as error:
    print(f"{type(error).__name__}: {error}")

# %% [markdown]
# The refusal is a courtesy. What protects is Shamir: two partials added up are c₀ plus something uniform.
#
# ## 4 · Why flood, and why only once
#
# Take the noise away and a partial is d = λ·c₁·s modulo p. λ and c₁ are public. By hand, with one coefficient:

# %% exercise="06.4" tags=["exercise"]
# p = 97, c1 = 35, λ = 2. A holder answers d = λ·c1·s mod p = 36 without flooding. What is its share s?
share = ...
check("06.4", share)

# %% [markdown]
# Two more leaks follow from the same equation, and each has a rule that holders keep here:
#
# | without the rule | what leaks | the rule |
# |---|---|---|
# | fresh noise for the same question | averages away: ask often | the same question gets the same bytes |
# | answers for two active sets on one c₁ | two equations with one share | one active set per ciphertext, ever |
# | a partial of a c₁ that an attacker chose | with a constant c₁ the share itself | only a confirmed sum with one's own update in it |
#
# Source: Asharov et al. 2012 and Boneh et al. 2018 (why partial decryptions are flooded); Mouchet et al. 2021. The attacks run, with and without each rule, in
# `tests/security/test_threshold_attacks.py`. In a real round the rules look like this:

# %%
run = Run(Experiment(dataset="breast_cancer", scheme=SHARED, custody="3-of-5", clients=5, rounds=1, batch=16))
sent = list(run.steps())
request = [s for s in sent if s.step == "request"]
partials = [s for s in sent if s.step == "partial"]
print("active set named", len(request), "time(s);", len(partials), "partials from", [s.sender for s in partials])
holder = next(c for c in run.parties.clients if c.name == partials[0].sender)
again = holder.partial_decryption(partials[0].position)
print("asked again, the same bytes:", again.envelope.header.digest == partials[0].head.header.digest)

# %%
outsider = next(c for c in run.parties.clients if c.name not in {s.sender for s in partials})
print(f"{outsider.name} was not named, so it says", outsider.partial_decryption(partials[0].position))
print("who can read a partial:", partials[0].receivers, "· sealed:", partials[0].head.header.sealed)
print("error against the plain mean:", f"{run.result().rounds[0].max_abs_error:.1e}")

# %% [markdown]
# The coordinator relays the partials and cannot read one: they are sealed to the clients.
#
# **How much flooding?** So much that answers look almost as if they were made without the key. How far they are from that is a
# **statistical distance**, and it adds up over every ciphertext opened under one key: so their number is capped.
# Where the distance stays too large hefl calls it a demonstration. Lean presets have no room for flooding at all, and refuse:

# %%
for name in ("bfv-threshold-classroom", "bfv-threshold", "bfv-threshold-strict"):
    preset = load_preset(name)
    print(f"{name:24s} {at_ceiling(preset, Quorum(3, 5))}")
try:
    open_scheme("bfv-lean").keygen(Quorum(3, 5))
except HeflError as error:
    print(f"{type(error).__name__}: {error}")

# %% [markdown]
# ## 5 · A key's life
#
# A **key epoch** is the time of one key: *pending → active → decrypt-only → destroyed*. To **rotate** is to start the next;
# to **revoke** a client is to leave it out of the next. Whoever steals shares later opens the epochs they belong to, and no
# others. The thief below tries every ciphertext that was ever sent.

# %%
room = KeyPlayground(SHARED, 5, "3-of-5")
room.play_round()
room.rotate()
room.play_round()
room.revoke("client-5")
room.play_round()
for line in room.epochs:
    print(
        f"epoch {line.epoch} {line.state.value:13s} rounds {line.rounds} clients {len(line.clients)} key {line.key_id}"
    )

# %% exercise="06.5" tags=["exercise"]
# Three rounds under three keys, five clients each, four in the last. A thief takes three shares of epoch 2.
# How many of the recorded ciphertexts open?
opened_by_thief = ...
check("06.5", opened_by_thief)

# %%
for victims in (("client-1", "client-2", "client-3"), ("client-1", "client-2")):
    tried = room.steal(2, victims)
    opened = [item for item in tried if item.opened]
    print(
        f"{len(victims)} shares of epoch 2: {len(opened)} of {len(tried)} open, rounds {sorted({i.round for i in opened})}"
    )
for epoch in (1, 2):
    room.destroy(epoch)
try:
    room.steal(2, ("client-1", "client-2", "client-3"))
except HeflError as error:
    print("after destroying:", error)

# %% [markdown]
# Rotation does not repair what was recorded and stolen together; it limits it to one epoch. Destroying ends that too, as far
# as a program can: copies in memory and backups are beyond it.
#
# ## 6 · Whom do you trust now?

# %% exercise="06.6" tags=["exercise"]
# The KMS dealt the key of a 3-of-5 custody and says it deleted it. What takes this promise out of the picture?
# 0: a larger t   1: rotating after every round   2: the dealer-free ceremony   3: an auditor
remedy = ...
check("06.6", remedy)

# %%
run = Run(
    Experiment(dataset="breast_cancer", scheme=SHARED, custody="dealer-free:3-of-5", clients=5, rounds=1, batch=16)
)
ceremony = [s for s in run.steps() if s.position.round == 0]
for step in dict.fromkeys(s.step for s in ceremony):
    some = [s for s in ceremony if s.step == step]
    print(f"{step:22s} {len(some):2d} message(s), first {some[0].sender} → {', '.join(some[0].receivers[:3])} …")
print("dealer in the record:", run.parties.kms.epochs[-1].record.dealer)

# %% [markdown]
# First everybody *commits* to its part, then reveals it, or the last to speak could choose the key. The price: messages
# between all pairs, and every client must be there.
#
# ## Further reading
#
# - Shamir, *How to Share a Secret*, Communications of the ACM 1979.
# - Mouchet et al., *Multiparty Homomorphic Encryption from Ring-Learning-with-Errors*, PETS 2021.
# - Asharov et al., *Multiparty Computation with Low Communication, Computation and Interaction via Threshold FHE*,
#   EUROCRYPT 2012, eprint 2011/613.
# - Boneh et al., *Threshold Cryptosystems From Threshold Fully Homomorphic Encryption*, CRYPTO 2018, eprint 2017/956.
# - In the repository: `docs/threat_model.md` (what custody buys) and `docs/sharp_edges.md` (keys that are held together).
#
# Next: lesson 07 asks what it costs, lesson 08 attacks it.
