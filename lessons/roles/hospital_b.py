# %% [markdown]
# # Role play · You are hospital B
#
# Four people, four notebooks, one encrypted round: *KMS*, *coordinator*, *hospital A*, *hospital B*. Somebody opens the room
# once: `python -m hefl_core room`. Then run your cells from the top; a cell that needs the others waits for them.
#
# **You are** hospital B, in the messages *client-2*. You have patients' records, train on them, and hold the key, as hospital A
# does (custody *individual*).
#
# **You may see** your own data and update, and after decryption the mean of both. Not the other's update, or so it seems.
#
# **Minutes:** 15, everybody together.

# %%
import numpy as np

from hefl_core.runtime.client_home import dealt_data, initial_parameters
from hefl_core.runtime.observer import Observer
from hefl_core.app.role_play import take_seat
from hefl_core.runtime.stage import make_client
from hefl_core.wire.envelope import Position

seat = take_seat()

# %%
manifest, kms = seat.terms()
screen = Observer(manifest)  # your own screen: it shows your side to you alone
me = make_client(manifest, kms, 2, screen.member)
seat.sit(me)
seat.receive(me, "share")
print("your patients:", len(dealt_data(manifest.experiment).parts[2 - 1]))

# %% [markdown]
# Your key has arrived, sealed to you. Wait for the plan, train, encrypt, and promise the ciphertext by its digest.

# %%
position = Position(epoch=1, round=1)
seat.receive(me, "plan")
seat.send(me.commit(position))

# %%
seat.receive(me, "commitments")
seat.send(me.upload(position))

# %% [markdown]
# Wait for the sum and the auditor's confirmation; then check, decrypt, apply.

# %%
seat.receive(me, "confirmation")
seat.send(me.apply(position))
seen = screen.open(me.name, me.observe(position), position, me.public_key)
update = np.frombuffer(seen.update)
print("model:", seen.theta_digest.hex()[:16])
print("your update begins:", " ".join(f"{value:+.4f}" for value in update[:4]))

# %% [markdown]
# Compare the line *model* with hospital A's: it must be the same. Now do what encryption cannot prevent: you know the mean and
# your own update, and there is only one other. (How many records the data set has is public.)

# %%
theta_0 = initial_parameters(manifest).astype(np.float64)
mean = me.theta.astype(np.float64) - theta_0
mine, every = seen.examples, len(dealt_data(manifest.experiment).dataset.train)
theirs = (every * mean - mine * update) / (every - mine)
print("hospital A's update begins:", " ".join(f"{value:+.4f}" for value in theirs[:4]))

# %% [markdown]
# Read it out, and ask hospital A. This is why `min_cohort` is at least 3 and lower values are marked INSECURE.
#
# **Talk about it.** What would noise on each update have changed? What if hospital A had left after a second round?
