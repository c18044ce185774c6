# %% exercise="12.1"
def clip(update, most):
    """At most `most` long."""
    length = np.linalg.norm(update)
    return update if length <= most else update * (most / length)


check("12.1", clip)

# %% exercise="12.2"
answer = 1.0
check("12.2", answer)


# %% exercise="12.3"
def epsilon_of(right, wrong, delta):
    """The smallest ε that allows these rates."""
    return math.log((right - delta) / wrong)


check("12.3", epsilon_of)

# %% exercise="12.4"
answer = math.sqrt(100)
check("12.4", answer)

# %% exercise="12.5"
answer = 2
check("12.5", answer)
