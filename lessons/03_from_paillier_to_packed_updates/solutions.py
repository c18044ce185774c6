# %% exercise="03.1"
largest_error = 1.0 / (2**7 - 1) / 2  # half a step
check("03.1", largest_error)

# %% exercise="03.2"
value_bits_left = 20 - math.ceil(math.log2(16))
check("03.2", value_bits_left)


# %% exercise="03.3"
def pack_fields(fields, field_bits):
    return sum(int(field) << (place * field_bits) for place, field in enumerate(fields))


check("03.3", pack_fields)

# %% exercise="03.4"
prediction = 2
check("03.4", prediction)

# %% exercise="03.5"
values_per_ciphertext = 2047 // 20
check("03.5", values_per_ciphertext)

# %% exercise="03.6"
prediction = 2
check("03.6", prediction)
