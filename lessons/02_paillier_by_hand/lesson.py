# %% [markdown]
# # 02 · Paillier by hand
#
# **You will be able to** encrypt two numbers with pencil and paper, add them without opening them, open the sum, and
# say why the secret stays secret and when the sum goes wrong.
#
# **Time** 40 minutes. **Before** lesson 01; calculating with remainders (we repeat it).
#
# **In the application** [Inside a ciphertext, by hand](http://localhost:8501/inside?dataset=digits&scheme=paillier-packed)
#
# A coordinator should add the hospitals' numbers without reading them. In 1999 Pascal **Paillier** found a scheme in which
# *multiplying* two ciphertexts *adds* the messages inside. The whole of it fits into four lines.

# %%
import math
import secrets
import time

from hefl_core.errors import ParameterError
from hefl_core.schemes.paillier.by_hand import ByHand
from hefl_core.teaching import check, hint

# %% tags=["parameters"]
FULL = False
TRIALS = 2000 if FULL else 200

# %% [markdown]
# ## Remainders
# "$a \bmod n$" is the remainder when $a$ is divided by $n$; a clock counts mod 12. We may take remainders before or
# after adding and multiplying, the result is the same. `pow(a, k, n)` computes $a^k \bmod n$ fast, even for huge $k$.

# %%
print("17 mod 12 =", 17 % 12)
print("7 to the power 1000, mod 13 =", pow(7, 1000, 13))

# %% [markdown]
# ## Keys
# Choose two different **primes** $p$ and $q$ such that $pq$ has no factor in common with $(p-1)(q-1)$ (3 and 7 would not
# do: 3 divides 7 − 1, and decryption would have no inverse to multiply with). Their product $n = pq$ is the **public key**: everybody may know it. The
# **secret key** is $\lambda = \operatorname{lcm}(p-1, q-1)$, the least common multiple, which nobody can compute from
# $n$ without finding $p$ and $q$. With our tiny primes that is easy; for a real $n$ of
# 2048 bits or more no way is known that ends.

# %%
p, q = 11, 13
n = p * q
lam = math.lcm(p - 1, q - 1)
print(f"public n = {n}; secret λ = {lam}")

# %% exercise="02.1" tags=["exercise"]
# Ciphertexts are remainders mod n². How many different remainders mod n² are there for n = 143?
answer = ...
check("02.1", answer)

# %% [markdown]
# ## Encrypt
# To encrypt $m$ (with $0 \le m < n$) draw a random **mask** $r$ that shares no factor with $n$:
#
# $$c = (1 + m\,n)\cdot r^n \bmod n^2$$
#
# The first factor carries the message, the second hides it.


# %% exercise="02.2" tags=["exercise"]
def encrypt(m, r, n):
    """The ciphertext of m with mask r under the public key n."""
    return m


check("02.2", encrypt)

# %% [markdown]
# The library has the same calculation with every intermediate. Two hospitals encrypt 7 and 5:

# %%
hand = ByHand(p=p, q=q, m1=7, r1=23, m2=5, r2=31)
for line in hand.lines()[3:7]:
    print(f"{line.what:12} {line.value}")

# %% [markdown]
# ## Add by multiplying
# Write the product of the two ciphertexts out:
#
# $$c_1 c_2 = (1 + m_1 n)(1 + m_2 n)\,(r_1 r_2)^n = (1 + (m_1 + m_2)\,n + m_1 m_2\,n^2)\,(r_1 r_2)^n$$
#
# Mod $n^2$ the term with $n^2$ is gone. What is left is a ciphertext of $m_1 + m_2$ with the mask $r_1 r_2$.
# The coordinator needs $n$ for that and nothing else.

# %% exercise="02.3" tags=["exercise"]
# Somebody encrypts 7 twice, with two different masks. What does the coordinator see?
# 0: twice the same ciphertext   1: two ciphertexts that nothing visible connects
# 2: two ciphertexts of which one is a multiple of 7
answer = ...
check("02.3", answer)

# %%
again = ByHand(p=p, q=q, m1=7, r1=23, m2=7, r2=31)
print("two ciphertexts of 7:", again.c1, again.c2)

# %% [markdown]
# ## Decrypt
# Raising to the power $\lambda$ removes the mask, because $r^{n\lambda} \bmod n^2 = 1$ for every $r$ without a factor
# in common with $n$ (Carmichael's theorem). What remains is $u = 1 + m\lambda n \bmod n^2$. Subtract 1, divide by $n$,
# and multiply by $\mu$, the number with $\lambda\mu \bmod n = 1$:
#
# $$m = \frac{(c^\lambda \bmod n^2) - 1}{n}\cdot \mu \bmod n$$

# %%
for line in hand.lines()[7:]:
    print(f"{line.what:14} {line.value}")
print(f"7 + 5 = {hand.decrypted}, and the coordinator saw {hand.c1}, {hand.c2} and {hand.total}")


# %% exercise="02.4" tags=["exercise"]
def decrypt(c, p, q):
    """The message in c; pow(lam, -1, n) gives the inverse of lam mod n."""
    return c


check("02.4", decrypt)

# %% [markdown]
# ## Always right? Try it
# We draw random messages and masks and compare. First predict the one number that matters.

# %% exercise="02.5" tags=["exercise"]
# With n = 143 we add 100 and 60. What comes out of the decryption?
answer = ...
check("02.5", answer)

# %%
right = wrapped = 0
for _ in range(TRIALS):
    m1, m2 = secrets.randbelow(n), secrets.randbelow(n)
    r1, r2 = (secrets.choice([r for r in range(1, n) if math.gcd(r, n) == 1]) for _ in range(2))
    trial = ByHand(p=p, q=q, m1=m1, r1=r1, m2=m2, r2=r2)
    right += trial.decrypted == m1 + m2
    wrapped += trial.overflows
print(f"{TRIALS} sums: {right} right, {wrapped} wrapped around n")

# %% [markdown]
# Every sum below $n$ is exact, every other one has lost a multiple of $n$, and *nothing in the ciphertext tells*. That
# is **overflow**. To add many numbers, leave **head-room**: keep each number so small that the largest possible
# sum stays below $n$. Lesson 03 does so for whole models.
#
# ## Why is it secret?
# Whoever factors $n$ can open everything. So we factor:

# %%
for small_n in (143, 907 * 911, 999_983 * 1_000_003):
    begin = time.perf_counter()
    factor = next(d for d in range(2, math.isqrt(small_n) + 1) if small_n % d == 0)
    print(f"n = {small_n}: {factor} divides it, found in {time.perf_counter() - begin:.5f} s")

# %% [markdown]
# Trial division needs up to $\sqrt n$ steps: two more digits of $n$ make it ten times slower. Better methods exist;
# NIST SP 800-57 part 1, table 2, estimates what they reach: 2048 bits give 112 **bits of security** (an attack takes about
# $2^{112}$ steps), 3072 bits give 128. And that ciphertexts do not tell which of two messages they hold follows from
# Paillier's own *assumption*, that $n$-th powers mod $n^2$ look like any other number (decisional composite residuosity,
# section 2 of the paper; the step from it to the ciphertexts is in section 4).
#
# **What the mask must be**: fresh and random for each ciphertext. The library refuses what cannot work:

# %%
for bad in ({"p": 12}, {"r1": 22}, {"m1": 143}):
    try:
        ByHand(**({"p": p, "q": q, "m1": 7, "r1": 23, "m2": 5, "r2": 31} | bad))
    except ParameterError as refused:
        print(refused)

# %% [markdown]
# ## What you keep
# - Encrypt: $(1 + mn)\,r^n$. Add: multiply. Decrypt: raise to $\lambda$, and read $m$ off.
# - Two ciphertexts of the same message look unrelated. That is the mask's work.
# - Sums are exact mod $n$, so head-room is the sender's duty.
#
# Change the numbers yourself: [by hand, in the application](http://localhost:8501/inside?dataset=digits&scheme=paillier-packed).
#
# **Further reading** Paillier 1999, *Public-Key Cryptosystems Based on Composite Degree Residuosity Classes*,
# EUROCRYPT 1999, section 4 and section 8 (adding) · Katz and Lindell, *Introduction to Modern Cryptography*, the
# chapter on Paillier · NIST SP 800-57 part 1, revision 5
