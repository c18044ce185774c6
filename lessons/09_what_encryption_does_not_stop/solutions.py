# %% exercise="09.1"
helpers = 3
check("09.1", helpers)


# %% exercise="09.2"
def who_left(mean_before, mean_after, K):
    return K * mean_before - (K - 1) * mean_after


check("09.2", who_left)

# %% exercise="09.3"
refuses = 3
check("09.3", refuses)

# %% exercise="09.4"
returned = 2
check("09.4", returned)

# %% exercise="09.5"
factor = float(np.e)
check("09.5", factor)

# %% exercise="09.6"
answer = 1
check("09.6", answer)
