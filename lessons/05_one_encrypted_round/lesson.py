# %% [markdown]
# # 05 · One encrypted round, message by message
#
# **Goals.** You follow one round of federated learning from the plan to the new model, can say for each message who can
# read it, add the ciphertexts yourself, and know which check stops which lie.
#
# **Minutes:** 45. **Prerequisites:** lesson 01 (what an update gives away), lesson 04 (BFV ciphertexts).
#
# **In the application:** [Open the page](http://localhost:8501/one_round?dataset=breast_cancer&batch=16&scheme=bfv-lean&clients=3&rounds=1&seat=coordinator)
# *One round*, from the coordinator's seat.
#
# Stuck at a question? Call `hint("05.1")`, again for the next hint.

# %%
import inspect

from msgspec.structs import replace

from hefl_core.attacks.methods.tampering import COUNT, FORGERIES, RE_ADDING, TAG, judge, set_desk
from hefl_core.errors import HeflError
from hefl_core.terms.experiment import Experiment
from hefl_core.terms.messages import EncryptedSum
from hefl_core.federation.round import federated_round
from hefl_core.federation.record.verify import verify
from hefl_core.runtime.run import Run
from hefl_core.schemes.base import CiphertextVector
from hefl_core.schemes.registry import open_scheme
from hefl_core.teaching import check, hint
from hefl_core.wire.canonical import decode
from hefl_core.wire.envelope import check_content

# %% tags=["parameters"]
FULL = False
CLIENTS = 5 if FULL else 3

# %% [markdown]
# ## 1 · Who is in the room
#
# - **Clients** (hospitals): have the data, train, hold the key. What client k's training changed in the model is its
#   *update* Δ_k; n_k is how many records it trained on.
# - The **coordinator**: collects ciphertexts, adds them. It has the public key only, and is *honest-but-curious*: it does
#   its job and reads whatever passes.
# - The **auditor**: gets the same ciphertexts, adds them again, has no key either. It makes lies of the coordinator visible.
# - The **KMS** (key management service) deals the keys out before the round; lesson 06 is about it.
#
# Every message is an **envelope**: a *header* in the clear (kind, sender, round, digest of the content), the sender's
# *signature* of it, and a body. A *digest* is the SHA-256 of some bytes. A **sealed** body is encrypted to its readers, with
# ordinary public-key encryption around whatever is inside.
#
# Here is the protocol, from the library itself. The comments are the protocol; each `post.send` is one message.

# %%
print(inspect.getsource(federated_round))

# %% exercise="05.1" tags=["exercise"]
# Count the post.send above without the part for collective custody: how many messages does a round with 10 clients take?
messages_of_ten = ...
check("05.1", messages_of_ten)

# %%
run = Run(Experiment(dataset="breast_cancer", batch=16, scheme="bfv-lean", clients=CLIENTS, rounds=1))
for number, sent in enumerate(run.steps(), 1):
    sealed = "sealed" if sent.head.header.sealed else ""
    size = f"{sent.nbytes:,} bytes {sealed}"
    print(
        f"{number:2d} round {sent.position.round} {sent.step:12s} {size:20s} {sent.sender} → {', '.join(sent.receivers)}"
    )
result = run.result()
transcript = result.transcript
print(
    "messages of the round:",
    len(transcript.of_round(1)),
    "= 3 ·",
    CLIENTS,
    "+",
    len(transcript.of_round(1)) - 3 * CLIENTS,
)

# %% [markdown]
# Round 0 is the opening of a *key epoch*: who takes part (the **roster**), and the keys. In round 1 the plan is longer than it
# will ever be again: it carries the first model θ₀.
#
# ## 2 · Commit first, upload later
#
# A **commitment** is a digest of the ciphertext that a client is going to send. All commitments are listed before anybody
# uploads.

# %% exercise="05.2" tags=["exercise"]
# What would a dishonest client gain if uploads came without commitments?
# 0: it could choose its ciphertext after it saw, or was told, the others'   1: it could decrypt   2: nothing
why_commit = ...
check("05.2", why_commit)

# %%
commitments = [s for s in transcript.of_round(1) if s.step == "commitment"]
updates = [s for s in transcript.of_round(1) if s.step == "update"]
for committed, uploaded in zip(commitments, updates, strict=True):
    print(f"{committed.sender}: commitment {committed.nbytes:,} bytes; the upload after it {uploaded.nbytes:,} bytes")
print("each upload's header names the list it follows:", {s.head.header.commitments.hex()[:12] for s in updates})

# %% [markdown]
# Change one byte on the way, and the signed digest no longer fits:

# %%
content = bytearray(transcript.content(updates[0]))
content[len(content) // 2] ^= 1
try:
    check_content(updates[0].head.header, bytes(content))
except HeflError as error:
    print(f"{type(error).__name__}: {error}")

# %% [markdown]
# ## 3 · The same round from different seats
#
# The **transcript** (every message, in order) can be read from any *seat*: exactly the messages that this **party**, whoever has
# a role in the round, sent or received.

# %% exercise="05.3" tags=["exercise"]
# How many updates of *other* clients does client-2 get, in any form, sealed ones included?
others_updates = ...
check("05.3", others_updates)

# %%
for seat in ("coordinator", "auditor", "client-1", "client-2", "eavesdropper"):
    seen = [s for s in transcript.seen_by(seat) if s.sent.position.round == 1]
    uploads = [s for s in seen if s.sent.step == "update"]
    opened = [s for s in uploads if s.content is not None]
    foreign = [s for s in uploads if s.sent.sender != seat]
    print(
        f"{seat:13s} {len(seen):2d} messages, {len(uploads)} uploads ({len(foreign)} of others, {len(opened)} unsealed)"
    )

# %% [markdown]
# The coordinator and the auditor unseal the uploads, and find a BFV ciphertext, for which they have no key. A client has the
# key, and never gets another's ciphertext. That separation is the whole point of who gets what; lesson 09 lets a client and
# the coordinator *collude* and watches it fall.
#
# ## 4 · Add the ciphertexts yourself
#
# Inside an upload are [n_k, 1, a tag, w_k·Δ_k], encrypted. The weight w_k grows with n_k; the sum of the ones tells how many
# updates are in a sum.


# %% exercise="05.4" tags=["exercise"]
# Add any number of encrypted vectors. scheme.add(key, a, b) adds two; you need no secret.
def add_up(scheme, key, vectors):
    return vectors[0]


check("05.4", add_up)

# %%
scheme, public_key = open_scheme("bfv-lean"), run.parties.coordinator.public_key
vectors = [decode(transcript.content(s), CiphertextVector) for s in updates]
mine = vectors[0]
for vector in vectors[1:]:
    mine = scheme.add(public_key, mine, vector)
sent_sum = next(s for s in transcript.of_round(1) if s.step == "sum")
theirs = decode(transcript.content(sent_sum), EncryptedSum).total
print(
    "blocks equal, byte for byte:", mine.blocks == theirs.blocks, "· terms:", mine.terms, "· key:", theirs.key_id.short
)

# %% [markdown]
# Adding is deterministic, so the auditor's sum has the same *bytes* as the coordinator's, or somebody lied. That is what the
# **confirmation** says, and clients decrypt nothing without it.
#
# ## 5 · From the sum to the new model
#
# Each client decrypts the sum, divides by Σ n_k, and applies the weighted mean of FedAvg (McMahan et al. 2017):
#
# $$\theta \leftarrow \theta + \frac{\sum_k n_k \Delta_k}{\sum_k n_k}$$

# %% exercise="05.5" tags=["exercise"]
# One entry, three clients: Δ = 0.2, −0.1, 0.5 with n = 100, 300, 100 records. By how much does θ move there?
moves_by = ...
check("05.5", moves_by)

# %%
measured = result.rounds[0]
print("applied by everybody, against the plain weighted mean of the same updates:")
print(f"largest difference {measured.max_abs_error:.1e}, promised at most {measured.error_bound:.1e}")
print("who got the new model, judging by receipts:", [s.sender for s in transcript.of_round(1) if s.step == "receipt"])
print("accuracy after one round:", round(measured.accuracy, 3))

# %% [markdown]
# The coordinator is not among them. It never sees a model after θ₀; a **receipt** holds no number that depends on data.
#
# ## 6 · What if the coordinator lies?
#
# Three checks stand between a forged sum and a client's model: the auditor's **re-adding**, the hidden **count** of
# contributors (the sum of the ones), and the **tag**, a check value that each client adds under encryption and that only
# those with the tag key can make. The *tampering desk* forges sums and asks each check by itself.

# %% exercise="05.6" tags=["exercise"]
# A coordinator drops one update and adds an encryption of zeros with count 1 in its place. Which checks refuse?
# 0: re-adding only   1: re-adding and count   2: re-adding and tag   3: all three
prediction = ...
check("05.6", prediction)

# %%
desk = set_desk("bfv-lean")
for forgery in FORGERIES:
    verdict = judge(desk, forgery, (RE_ADDING, COUNT, TAG))
    unnoticed = judge(desk, forgery, (COUNT,))
    alone = "refuses" if unnoticed.caught_by else f"lets it pass, mean off by {unnoticed.error:.3f}"
    print(f"{forgery:15s} refused by: {', '.join(verdict.caught_by)}; the count alone {alone}")

# %% [markdown]
# ## 7 · Anybody can check the record afterwards
#
# Each line of the transcript names the digest of the line before it, and every client signed the last. So the whole
# round can be verified later, without a key.

# %%
print(verify(transcript))
line = transcript.lines[5]
transcript.lines[5] = replace(line, entry=replace(line.entry, nbytes=line.entry.nbytes + 1))
try:
    verify(transcript)
except HeflError as error:
    print("after changing one number:", error)
transcript.lines[5] = line

# %% [markdown]
# ## Further reading
#
# - McMahan et al., *Communication-Efficient Learning of Deep Networks from Decentralized Data*, AISTATS 2017 (FedAvg).
# - Phong et al., *Privacy-Preserving Deep Learning via Additively Homomorphic Encryption*, IEEE TIFS 2018.
# - In the repository: `docs/protocol.md` (every message with what it leaks) and `hefl_core/federation/round.py`.
#
# Next: lesson 06 asks whose key it is.
