# %% exercise="01.1"
answer = 4 * model.parameters
check("01.1", answer)

# %% exercise="01.2"
answer = 2
check("01.2", answer)


# %% exercise="01.3"
def reconstruct(update):
    """Divide the weights' gradient by the bias' of the unit that moved most."""
    weights, bias = unflatten(update, model.shapes)[:2]
    unit = np.argmax(abs(bias))
    return weights[:, unit] / bias[unit]


check("01.3", reconstruct)

# %% exercise="01.4"
answer = 1
check("01.4", answer)

# %% exercise="01.5"
answer = 1
check("01.5", answer)
