# %% [markdown]
# # Role play · You are the coordinator
#
# Four people, four notebooks, one encrypted round: *KMS*, *coordinator*, *hospital A*, *hospital B*. Somebody opens the room
# once: `python -m hefl_core room`. Then run your cells from the top; a cell that needs the others waits for them.
#
# **You are** the coordinator, and you look after the auditor too: both have only the public key, so they may share your
# notebook.
#
# **You may see** who takes part, when, and how large things are. Everything else is noise to you; try to read it.
#
# **Minutes:** 15, everybody together.

# %%
from hefl_core.errors import HeflError
from hefl_core.terms.messages import EncryptedSum
from hefl_core.app.role_play import take_seat
from hefl_core.runtime.stage import make_auditor, make_coordinator
from hefl_core.wire.canonical import decode
from hefl_core.wire.envelope import Position

seat = take_seat()

# %%
manifest, kms = seat.terms()
coordinator, auditor = make_coordinator(manifest, kms), make_auditor(manifest, kms)
for party in (coordinator, auditor):
    seat.sit(party)
for party in (coordinator, auditor):
    seat.receive(party, "epoch")

# %% [markdown]
# Open the round: the plan says who, which key, and the first model θ₀.

# %%
position = Position(epoch=1, round=1)
seat.send(coordinator.plan(position))
seat.receive(auditor, "plan")
seat.receive(coordinator, "commitment", 2)

# %% [markdown]
# Each hospital has promised a ciphertext by its digest. Publish both promises; then the uploads may come.

# %%
seat.send(coordinator.commitments(position))
seat.receive(auditor, "commitments")
seat.receive(coordinator, "update", 2)
seat.receive(auditor, "update", 2)

# %% [markdown]
# Add what you cannot read, and have the auditor add it again.

# %%
total = coordinator.aggregate(position)
seat.send(total)
seat.receive(auditor, "sum")
seat.send(auditor.confirm(position))

# %%
ciphertext = decode(total.envelope.body, EncryptedSum).total
middle = len(ciphertext.blocks[0]) // 2
print("the sum, as you have it:", ciphertext.blocks[0][middle : middle + 32].hex(" "))
try:
    coordinator.enrolment.share
except HeflError as error:
    print("your share of the key:", error)

# %%
for party in (coordinator, auditor):
    seat.receive(party, "receipt", 2)
    party.close(position)
print("models you hold: θ₀ and no other")

# %% [markdown]
# **Talk about it.** You know that both hospitals took part and how long each trained. What could you learn from the times?
# What would you need to read an upload, and who at this table has it?
