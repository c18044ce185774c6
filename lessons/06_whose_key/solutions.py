# %% exercise="06.1"
coalition = 3
check("06.1", coalition)


# %% exercise="06.2"
def weight(active, index, p):
    above, below = 1, 1
    for other in active:
        if other != index:
            above, below = above * other % p, below * (other - index) % p
    return above * pow(below, -1, p) % p


check("06.2", weight)

# %% exercise="06.3"
two_holders = 2
check("06.3", two_holders)

# %% exercise="06.4"
share = 36 * pow(2 * 35, -1, 97) % 97
check("06.4", share)

# %% exercise="06.5"
opened_by_thief = 5  # one round under that key, five clients
check("06.5", opened_by_thief)

# %% exercise="06.6"
remedy = 2
check("06.6", remedy)
