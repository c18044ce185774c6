# %% [markdown]
# # Role play · You are the KMS
#
# Four people, four notebooks, one encrypted round: *KMS*, *coordinator*, *hospital A*, *hospital B*. Somebody opens the room
# once: `python -m hefl_core room`. Then run your cells from the top; a cell that needs the others waits for them.
#
# **You are** the key management service. You say what is played, enrol the parties, make the key and deal it.
#
# **You may see** names and public keys. You never see data, an update or a model; and the key you make you do not keep.
#
# **Minutes:** 15, everybody together.

# %%
from hefl_core.errors import HeflError
from hefl_core.terms.experiment import Experiment
from hefl_core.runtime.client_home import dealt_data
from hefl_core.app.role_play import take_seat
from hefl_core.runtime.stage import make_kms

seat = take_seat()

# %% [markdown]
# The terms: two hospitals, one round. Two is too few, and the experiment says so itself. Keep the reason in mind; hospital B
# will show it at the end.

# %%
plan = Experiment(dataset="breast_cancer", model="mlp", scheme="bfv-lean", clients=2, min_cohort=2, rounds=1, batch=16)
print("\n".join(plan.insecure))
manifest = dealt_data(plan).manifest(plan)
kms = make_kms(manifest)
seat.open(manifest, kms.member)
print("the table is open for run", manifest.id[:12])

# %% [markdown]
# Wait for the others, and enrol them. Here you believe the table about who is who; between real organisations public keys
# come by another way.

# %%
for member in seat.players(("coordinator", "auditor", "client-1", "client-2")):
    kms.enrol(member)
    print("enrolled", member.name, "with the signing key", member.signing.hex()[:16], "…")

# %% [markdown]
# Make the key and deal it: a public key for all, a share sealed to each hospital, nothing secret to coordinator and auditor. Each
# hospital has signed a sealing key for this epoch alone: when the epoch is destroyed, nothing that lasts opens its share.

# %%
for name in ("client-1", "client-2"):
    kms.deposit(seat.sealing_keys(name))
kms.open_epoch(1, 1)
seat.send(kms.roster_envelope())
seat.send(kms.epoch_envelope())
for name in ("client-1", "client-2"):
    seat.send(kms.share_envelope(name))

# %%
try:
    kms.share_envelope("coordinator")
except HeflError as error:
    print("asked for the coordinator's share:", error)
for entry in kms.audit_log.entries:
    print(entry.action, entry.subject)

# %% [markdown]
# **Talk about it.** You held the whole key for a moment. Who would notice if you had kept it? Which custody needs no such
# trust? (Lesson 06.)
