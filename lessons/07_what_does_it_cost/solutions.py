# %% exercise="07.1"
blocks_of_large = -(-(3 + -(-99_530 // 2)) // 4096)
check("07.1", blocks_of_large)


# %% exercise="07.2"
def blocks_needed(d, fields, degree):
    words = 3 + -(-d // fields)  # -(-a // b) rounds up
    return -(-words // degree)


check("07.2", blocks_needed)

# %% exercise="07.3"
prediction = 3
check("07.3", prediction)

# %% exercise="07.4"
prediction = 2
check("07.4", prediction)

# %% exercise="07.5"
prediction = 0
check("07.5", prediction)

# %% exercise="07.6"
choice = 2
check("07.6", choice)
