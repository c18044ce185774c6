# %% exercise="02.1"
answer = n**2
check("02.1", answer)


# %% exercise="02.2"
def encrypt(m, r, n):
    """The ciphertext of m with mask r under the public key n."""
    return (1 + m * n) * pow(r, n, n**2) % n**2


check("02.2", encrypt)

# %% exercise="02.3"
answer = 1
check("02.3", answer)


# %% exercise="02.4"
def decrypt(c, p, q):
    """The message in c."""
    n, lam = p * q, math.lcm(p - 1, q - 1)
    return (pow(c, lam, n**2) - 1) // n * pow(lam, -1, n) % n


check("02.4", decrypt)

# %% exercise="02.5"
answer = (100 + 60) % n
check("02.5", answer)
