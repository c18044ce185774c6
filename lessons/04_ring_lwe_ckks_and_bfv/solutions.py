# %% exercise="04.1"
def ring_multiply(a, b, q):
    n = len(a)
    product = np.zeros(n, dtype=np.int64)
    for i in range(n):
        for j in range(n):
            sign = 1 if i + j < n else -1  # X^N = -1
            product[(i + j) % n] += sign * int(a[i]) * int(b[j])
    return product % q


check("04.1", ring_multiply)

# %% exercise="04.2"
why_noise = 1
check("04.2", why_noise)

# %% exercise="04.3"
noise_limit = DELTA / 2
check("04.3", noise_limit)

# %% exercise="04.4"
prediction = 0
check("04.4", prediction)

# %% exercise="04.5"
bits_per_doubling = 1
check("04.5", bits_per_doubling)

# %% exercise="04.6"
mine = (4096, (60, 20), 45, 3, 15, 32)
check("04.6", mine)
