# %% exercise="05.1"
messages_of_ten = 3 * 10 + 4  # commitment, update and receipt of each; plan, list, sum, confirmation
check("05.1", messages_of_ten)

# %% exercise="05.2"
why_commit = 0
check("05.2", why_commit)

# %% exercise="05.3"
others_updates = 0
check("05.3", others_updates)


# %% exercise="05.4"
def add_up(scheme, key, vectors):
    total = vectors[0]
    for vector in vectors[1:]:
        total = scheme.add(key, total, vector)
    return total


check("05.4", add_up)

# %% exercise="05.5"
moves_by = (100 * 0.2 + 300 * -0.1 + 100 * 0.5) / (100 + 300 + 100)
check("05.5", moves_by)

# %% exercise="05.6"
prediction = 2
check("05.6", prediction)
